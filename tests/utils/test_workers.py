"""Jobs in worker processes: progress and results come out, errors end them."""

import os
import signal
import subprocess
import sys

import pytest

from jatlab.utils import guard, workers
from jatlab.utils.workers import run_jobs


def halve(job, report):
    report(f"began {job}")
    return 6 // job


@pytest.mark.parametrize("workers", [0, 1])
def test_progress_comes_before_the_result(workers):
    told = [("progress", "began 2"), ("done", 3)]
    assert [(kind, value) for kind, _, value in run_jobs(halve, [2], workers)] == told


def test_every_job_is_done_once():
    results = {job: value for kind, job, value in run_jobs(halve, [1, 2, 3], 2) if kind == "done"}
    assert results == {1: 6, 2: 3, 3: 2}


def test_an_error_of_a_job_is_raised():
    with pytest.raises(ZeroDivisionError):
        list(run_jobs(halve, [0], 1))


def test_the_others_go_on_after_an_error_if_asked():
    found = {job: kind for kind, job, _ in run_jobs(halve, [0, 1], 1, keep_going=True)}
    assert found == {0: "failed", 1: "done"}


def test_a_negative_number_of_workers_is_refused():
    with pytest.raises(ValueError, match="0 .this process. or more, got -1"):
        list(run_jobs(halve, [1], -1))


class Demanding(Exception):
    """Pickled, but not made again by its message alone."""

    def __init__(self, name, value):
        super().__init__(f"{name} is {value}")


def misbehave(job, report):
    if job == "demanding":
        raise Demanding("the answer", 43)
    if job == "unpicklable":
        return lambda: None
    if job == "returned":
        return Demanding("the answer", 44)
    os.kill(os.getpid(), job)
    return None


def kinds_and_words(jobs):
    events = run_jobs(misbehave, jobs, 1, keep_going=True)
    return [(kind, f"{type(value).__name__}: {value}") for kind, _, value in events]


def test_errors_and_results_that_cannot_travel_are_told_in_words():
    first, second, third = kinds_and_words(["demanding", "unpicklable", "returned"])
    assert first == ("failed", "RuntimeError: Demanding: the answer is 43")
    assert second[0] == "failed" and "misbehave.<locals>.<lambda>" in second[1]
    assert third == ("done", "RuntimeError: Demanding: the answer is 44")


def test_only_a_kill_is_put_down_to_memory():
    killed, crashed = kinds_and_words([signal.SIGKILL, signal.SIGSEGV])
    assert "killed (exit code -9), perhaps for lack of memory" in killed[1]
    assert "ended by itself (exit code -11, SIGSEGV)" in crashed[1] and "memory" not in crashed[1]


class Deadly:
    """Ends every process that loads it."""

    def __init__(self, way):
        self.way = way

    def __reduce__(self):
        return self.way

    def __call__(self, job, report):
        return job


def test_workers_that_end_at_the_start_leave_the_work_here():
    deadly = Deadly((os._exit, (3,)))
    with pytest.warns(UserWarning, match="end while they start .exit code 3"):
        assert list(run_jobs(deadly, [1, 2], 2)) == [("done", 1, 1), ("done", 2, 2)]


def kill_itself(number):
    os.kill(os.getpid(), number)


@pytest.mark.slow
def test_workers_that_are_killed_at_the_start_fail_their_jobs():
    deadly = Deadly((kill_itself, (signal.SIGKILL,)))
    with pytest.raises(ChildProcessError, match="killed .exit code -9"):
        list(run_jobs(deadly, [1, 2], 2))
    failed = list(run_jobs(deadly, [1, 2, 3], 2, keep_going=True))
    assert sorted(job for _, job, _ in failed) == [1, 2, 3]
    assert {kind for kind, _, _ in failed} == {"failed"}


def nested(job, report):
    with pytest.warns(UserWarning, match="this is a worker process itself"):
        return list(run_jobs(halve, [job], 1))


def test_workers_in_workers_are_none():
    [(kind, _, found)] = list(run_jobs(nested, [2], 1))
    assert (kind, found[-1]) == ("done", ("done", 2, 3))


def test_silent_workers_are_explained(monkeypatch):
    monkeypatch.setattr(workers, "SLOW_START", 0.01)
    with pytest.warns(UserWarning, match="no worker process has started within"):
        assert list(run_jobs(halve, [2], 1))[-1] == ("done", 2, 3)


def test_no_jobs_start_no_workers(monkeypatch):
    monkeypatch.setattr(workers, "_start", None)
    assert list(run_jobs(halve, [], 2)) == []


GUARDED = {
    "bare": ("CALL", False),
    "guarded": ("if __name__ == '__main__':\n    CALL", True),
    "guarded-function": ("def main():\n    CALL\nif '__main__' == __name__:\n    main()", True),
    "unguarded-function": ("def main():\n    CALL\nmain()", False),
    "early-exit": ("if __name__ != '__main__':\n    raise SystemExit\nCALL", True),
    "parent": (
        "from multiprocessing import parent_process\nif not parent_process():\n    CALL",
        True,
    ),
    "later-guard": ("CALL\nif __name__ == '__main__':\n    pass", False),
}


@pytest.mark.parametrize("kind", GUARDED)
def test_the_guard_of_a_script_is_found(kind, tmp_path):
    text, guarded = GUARDED[kind]
    call = "from jatlab.utils.guard import why_not; print(repr(why_not()))"
    (tmp_path / "script.py").write_text(text.replace("CALL", call))
    done = subprocess.run(
        [sys.executable, "script.py"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert (done.stdout == "''\n") == guarded, done.stdout
    assert guard.why_not() == ""
