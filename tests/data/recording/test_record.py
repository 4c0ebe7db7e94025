"""Recording: the same files for any number of workers, after a kill, and after adding."""

import json
import os
import resource
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from jatlab.data.episodes import read_episodes
from jatlab.data.recording import shards
from jatlab.data.recording.record import record
from jatlab.tasks import get_task
from jatlab.utils.workers import run_jobs
from tests.support.disks import on_disk
from tests.support.helpers import group_is_alive, wait_for

GO_TO = "babyai-go-to-obj"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    # planned in the parent, so the workers follow it
    monkeypatch.setattr(shards, "SHARD_DEFAULT", 5)


def files(root):
    """All files under ``root`` with their bytes."""
    found = [path for path in Path(root).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in found}


def quiet(*args, **kwargs):
    return record(*args, progress=False, **kwargs)


# --- reproducible, resumable ---


@pytest.mark.slow
def test_any_workers_and_any_order_make_the_same_files(tmp_path):
    tasks = [GO_TO, "babyai-open-door"]
    summaries = quiet(tasks, tmp_path / "two", episodes=12, workers=2)
    quiet(tasks, tmp_path / "one", episodes=7, workers=1)
    assert quiet(tasks, tmp_path / "one", episodes=12, workers=1) == summaries
    assert files(tmp_path / "one") == files(tmp_path / "two")
    parts = [f"train/0000{i}.parquet" for i in range(3)]
    assert sorted(files(tmp_path / "one" / GO_TO)) == ["manifest.json", "recording.json", *parts]
    episodes = read_episodes(tmp_path / "two" / GO_TO / "train", get_task(GO_TO))
    summary = json.loads((tmp_path / "two" / GO_TO / "recording.json").read_text())
    assert summary == summaries[GO_TO]
    assert summary["seeds"] == list(range(12)) and summary["failures"] == []
    assert np.allclose([e["rewards"].sum() for e in episodes], summary["returns"], atol=1e-3)
    assert summary["timesteps"] == sum(len(e["rewards"]) for e in episodes)
    assert summary["success_rate"] == 1.0


def test_each_task_may_have_its_own_number_of_episodes(tmp_path):
    counts = {GO_TO: 2, "babyai-open-door": 3, "minigrid-captions": 4}
    summaries = quiet(list(counts), tmp_path, episodes=counts, workers=0)
    assert [summaries[name]["episodes"] for name in (GO_TO, "babyai-open-door")] == [2, 3]
    assert summaries["minigrid-captions"]["train"]["rows"] == 4
    with pytest.raises(ValueError, match="episodes must be at least 1, got 0"):
        quiet(list(counts), tmp_path, episodes=counts | {GO_TO: 0})


def test_what_is_there_is_not_recorded_again(tmp_path):
    quiet(GO_TO, tmp_path, episodes=6, workers=1)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")}
    quiet(GO_TO, tmp_path, episodes=3, workers=1)
    quiet(GO_TO, tmp_path, episodes=6, workers=1)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.parquet")} == before
    message = "recorded with seed = 0, now it is 1; record into another folder"
    with pytest.raises(ValueError, match=message):
        quiet(GO_TO, tmp_path, episodes=6, seed=1)
    with pytest.raises(ValueError, match="recorded with teacher = 'teacher', now it is 'random'"):
        quiet(GO_TO, tmp_path, episodes=6, teacher="random")


SCRIPT = """
import sys
from jatlab.data.recording import shards
from jatlab.data.recording.record import record
shards.SHARD_DEFAULT = 5
if __name__ == "__main__":
    tasks = ["metaworld-reach", "metaworld-drawer-open"]
    record(tasks, sys.argv[1], episodes=10, workers=2, progress=False)
"""


def start_recording(tmp_path, root):
    (tmp_path / "script.py").write_text(SCRIPT)
    # what is started in the background ignores SIGINT, and so would its children
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    command = [sys.executable, str(tmp_path / "script.py"), str(root)]
    options = {"start_new_session": True, "preexec_fn": heed}
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.slow
def test_killed_and_resumed_it_makes_the_same_files(tmp_path):
    root = tmp_path / "killed"
    process = start_recording(tmp_path, root)
    wait_for(lambda: len(list(root.rglob("*.parquet"))) >= 1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    # the workers notice that their parent is gone
    wait_for(lambda: not group_is_alive(process.pid))
    done = {name: data for name, data in files(root).items() if name.endswith(".parquet")}
    assert 1 <= len(done) < 4
    left = root / "metaworld-reach" / "train" / "00001.parquet.999999999.tmp"
    left.write_bytes(b"half a shard")
    quiet(["metaworld-reach", "metaworld-drawer-open"], root, episodes=10)
    quiet(["metaworld-reach", "metaworld-drawer-open"], tmp_path / "whole", episodes=10)
    assert files(root) == files(tmp_path / "whole") and len(files(root)) == 9
    assert done.items() <= files(root).items()


@pytest.mark.slow
def test_ctrl_c_keeps_finished_episodes_and_says_how_many(tmp_path):
    root = tmp_path / "stopped"
    process = start_recording(tmp_path, root)
    wait_for(lambda: list(root.rglob("*.parquet")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers alike
    errors = process.communicate(timeout=60)[1]
    # the traceback is the parent's, which the command line catches
    assert errors.count("Traceback") == 1 and "The same command goes on from there" in errors
    wait_for(lambda: not group_is_alive(process.pid))
    assert not list(root.rglob("*.tmp")) and (root / "README.md").exists()
    for task in ("metaworld-reach", "metaworld-drawer-open"):
        folder, kept = root / task / "train", 0
        if folder.exists():
            kept = len(read_episodes(folder, get_task(task)))
            assert json.loads((root / task / "recording.json").read_text())["episodes"] == kept
        assert f"{kept} of 10 episodes of {task}" in errors


class StopAfter:
    """A stand-in for `EpisodePlayer.play`: Ctrl-C comes in the episode after the third."""

    def __init__(self, play):
        self.play, self.left = play, 3

    def __call__(self, *args, **options):
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return self.play(*args, **options)


def test_a_stopped_file_is_continued_and_comes_out_the_same(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        stop = StopAfter(shards.EpisodePlayer.play)
        patch.setattr(shards.EpisodePlayer, "play", lambda *args, **options: stop(*args, **options))
        with pytest.raises(KeyboardInterrupt, match=rf"has 3 of 7 episodes of {GO_TO}\. The same"):
            quiet(GO_TO, tmp_path / "stopped", episodes=7, workers=0)
    seeds = []
    play = shards.EpisodePlayer.play

    def noted(self, seed, *args, **options):
        seeds.append(seed)
        return play(self, seed, *args, **options)

    monkeypatch.setattr(shards.EpisodePlayer, "play", noted)
    summary = quiet(GO_TO, tmp_path / "stopped", episodes=7, workers=0)[GO_TO]
    assert seeds == [3, 4, 5, 6] and summary["seeds"] == list(range(7))
    quiet(GO_TO, tmp_path / "whole", episodes=7, workers=0)
    assert files(tmp_path / "stopped") == files(tmp_path / "whole")


def test_a_stop_before_the_first_episode_keeps_nothing(tmp_path, monkeypatch):
    def stop(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(shards.EpisodePlayer, "play", stop)
    with pytest.raises(KeyboardInterrupt, match="^stopped; .*r8 has nothing of it"):
        quiet(GO_TO, tmp_path / "r8", episodes=200, workers=0)
    assert not (tmp_path / "r8").exists()


def die(job, report):
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_killed_worker_ends_the_run_with_a_clear_error():
    message = r"killed \(exit code -9\).*run the same command again"
    with pytest.raises(ChildProcessError, match=message):
        list(run_jobs(die, [1, 2], workers=1))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"workers": -1}, "workers must be 0 .this process. or more, got -1"),
        ({"noise": 1.5}, "noise is a number from 0 to 1, got 1.5"),
        ({"seed": 99_999}, "seed 99999 with 2 episodes leaves that range"),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"teacher": "nobody"}, "who plays is 'teacher' or 'random' or 'search' or 'human', not"),
        ({"tasks": "babyai-go-too"}, "did you mean babyai-go-to"),
        ({"tasks": []}, "tasks names no task: expected at least one"),
        (
            {"episodes": {"babyai-open": 2}},
            rf"episodes is {{'babyai-open': 2}}, without \['{GO_TO}'\]: expected a number for ev",
        ),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        quiet(**({"tasks": GO_TO, "root": tmp_path, "episodes": 2} | change))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_noise_is_written_into_the_summary(tmp_path):
    summary = quiet(GO_TO, tmp_path, episodes=3, workers=1, noise=0.2)[GO_TO]
    assert summary["noise"] == 0.2 and summary["success_rate"] > 0
    assert "teacher's answers" in summary["actions"]


# --- full disk ---


FILL = """
import json, sys
from pathlib import Path
from jatlab.data.episodes import read_episodes
from jatlab.data.recording import shards
from jatlab.data.recording.record import record
from jatlab.tasks import get_task
REACH = "metaworld-reach"
shards.SHARD_DEFAULT = 10
if __name__ == "__main__":
    try:
        record(REACH, sys.argv[1], episodes=100, workers=2, progress=False)
    except OSError as error:
        found = [path for path in Path(sys.argv[1]).rglob("*") if path.is_file()]
        whole = [path for path in found if path.suffix == ".parquet"]
        counts = [len(read_episodes(path, get_task(REACH))) for path in whole]
        others = [path.name for path in found if path not in whole]
        print(json.dumps({"error": str(error), "shards": counts, "others": others}))
"""


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


@pytest.mark.slow
def test_a_full_disk_is_named_and_leaves_whole_files(tmp_path):
    (tmp_path / "fill.py").write_text(FILL)
    (tmp_path / "disk").mkdir()
    command = [sys.executable, str(tmp_path / "fill.py"), str(tmp_path / "disk")]
    on_small_disk = on_disk(tmp_path / "disk", "size=300k", 'exec "$@"', *command)
    options = {"capture_output": True, "text": True, "timeout": 60}
    if on_small_disk:
        run = subprocess.run(on_small_disk, **options)
    else:
        run = subprocess.run(command, preexec_fn=limit_files, **options)
    assert run.returncode == 0 and "Traceback" not in run.stderr
    report = json.loads(run.stdout)
    assert "the disk is full" in report["error"] and "run the same command again" in report["error"]
    # the worker that did not meet the full disk keeps what it has finished, as after Ctrl-C
    shorter = [count for count in report["shards"] if count != 10]
    assert len(shorter) <= 1 and all(1 <= count < 10 for count in shorter)
    assert len(report["shards"]) < 10
    assert set(report["others"]) <= {"recording.json"}
    assert report["shards"] or not on_small_disk  # without a small disk every file is too large
