"""Jobs in worker processes: progress and results come out, errors end them."""

import pytest

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
