"""Recording: the same files for any number of workers, after a kill, and after adding; failures
dropped, counted and replaced.
"""

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

import jatlab.data.recording.playing as playing
from jatlab.data.episodes import read_episodes, read_notes
from jatlab.data.recording import measuring
from jatlab.data.recording import record as recording
from jatlab.data.recording.measuring import measure
from jatlab.data.recording.playing import EpisodePlayer, TeacherFailed
from jatlab.data.recording.record import RecordSettings, ShardJob, record, report_line
from jatlab.tasks import get_task
from jatlab.teachers import RandomTeacher
from jatlab.utils.workers import run_jobs
from tests.support.helpers import group_is_alive, wait_for

GO_TO = "babyai-go-to-obj"


@pytest.fixture(autouse=True)
def small_shards(monkeypatch):
    monkeypatch.setattr(
        recording, "SHARD_DEFAULT", 5
    )  # planned in the parent, so workers follow it


def files(root):
    """All files under ``root`` with their bytes."""
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in Path(root).rglob("*")
        if path.is_file()
    }


def quiet(*args, **kwargs):
    return record(*args, progress=False, **kwargs)


# --- reproducible, resumable
# -----------------------------------------------------------------------------------------------------------------


def test_any_number_of_workers_and_any_order_of_asking_make_the_same_files(tmp_path):
    tasks = [GO_TO, "babyai-open-door"]
    summaries = quiet(tasks, tmp_path / "two", episodes=12, workers=2)
    quiet(tasks, tmp_path / "one", episodes=7, workers=1)
    assert quiet(tasks, tmp_path / "one", episodes=12, workers=1) == summaries
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert sorted(files(tmp_path / "one" / GO_TO)) == ["recording.json"] + [
        f"train/0000{i}.parquet" for i in range(3)
    ]
    episodes = read_episodes(tmp_path / "two" / GO_TO / "train", get_task(GO_TO))
    summary = json.loads((tmp_path / "two" / GO_TO / "recording.json").read_text())
    assert (
        summary == summaries[GO_TO]
        and summary["seeds"] == list(range(12))
        and summary["failures"] == []
    )
    assert np.allclose([e["rewards"].sum() for e in episodes], summary["returns"], atol=1e-3)
    assert (
        summary["timesteps"] == sum(len(e["rewards"]) for e in episodes)
        and summary["success_rate"] == 1.0
    )


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
    with pytest.raises(
        ValueError, match="recorded with seed = 0, now it is 1; record into another folder"
    ):
        quiet(GO_TO, tmp_path, episodes=6, seed=1)
    with pytest.raises(ValueError, match="recorded with teacher = 'teacher', now it is 'random'"):
        quiet(GO_TO, tmp_path, episodes=6, teacher="random")


SCRIPT = """
import sys
from jatlab.data.recording import measuring
from jatlab.data.recording import record as recording
recording.SHARD_DEFAULT = 5
if __name__ == "__main__":
    recording.record(["metaworld-reach", "metaworld-drawer-open"], sys.argv[1], episodes=10, workers=2, progress=False)
"""


def start_recording(tmp_path, root):
    (tmp_path / "script.py").write_text(SCRIPT)
    heed = partial(
        signal.signal, signal.SIGINT, signal.SIG_DFL
    )  # what is started in the background ignores it, and so would its children
    command = [sys.executable, str(tmp_path / "script.py"), str(root)]
    return subprocess.Popen(
        command, start_new_session=True, stderr=subprocess.PIPE, text=True, preexec_fn=heed
    )


def test_killed_and_resumed_it_gives_the_files_of_an_uninterrupted_run(tmp_path):
    root = tmp_path / "killed"
    process = start_recording(tmp_path, root)
    wait_for(lambda: len(list(root.rglob("*.parquet"))) >= 1)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(
        lambda: not group_is_alive(process.pid)
    )  # the workers notice that their parent is gone
    done = files(root)
    assert 1 <= len(done) < 4
    left = root / "metaworld-reach" / "train" / "00001.parquet.999999999.tmp"
    left.write_bytes(b"half a shard")
    quiet(["metaworld-reach", "metaworld-drawer-open"], root, episodes=10)
    quiet(["metaworld-reach", "metaworld-drawer-open"], tmp_path / "whole", episodes=10)
    assert files(root) == files(tmp_path / "whole") and len(files(root)) == 6
    assert all(
        files(root)[name] == data for name, data in done.items() if name.endswith(".parquet")
    )


def test_ctrl_c_ends_cleanly_and_keeps_what_is_finished(tmp_path):
    root = tmp_path / "stopped"
    process = start_recording(tmp_path, root)
    wait_for(lambda: list(root.rglob("*.parquet")))
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to parent and workers alike
    errors = process.communicate(timeout=60)[1]
    assert (
        errors.count("Traceback") == 1 and "the same command goes on from there" in errors
    )  # the parent's own, which the command line catches
    wait_for(lambda: not group_is_alive(process.pid))
    assert not list(root.rglob("*.tmp"))
    summary = json.loads((root / "metaworld-reach" / "recording.json").read_text())
    assert summary["episodes"] == len(
        read_episodes(root / "metaworld-reach" / "train", get_task("metaworld-reach"))
    )


def die(job, report):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_ends_the_run_with_a_clear_error():
    with pytest.raises(
        ChildProcessError, match=r"killed \(exit code -9\).*run the same command again"
    ):
        list(run_jobs(die, [1, 2], workers=1))


# --- failures
# --------------------------------------------------------------------------------------------------------------------------------


class Stubborn(RandomTeacher):
    """Loops for ever on every third seed below 100,000, and gives up on every fifth."""

    def reset(self, env, seed=None):
        super().reset(env, seed)
        while seed < 100_000 and seed % 3 == 2:
            pass
        if seed < 100_000 and seed % 5 == 4:
            raise TeacherFailed("no idea")


def shard_job(path, **settings):
    values = {"seed": 0, "teacher": "teacher", "noise": 0.0, "timeout": 0.2} | settings
    return ShardJob(GO_TO, first=5, count=5, path=str(path), settings=RecordSettings(**values))


def test_a_teacher_that_loops_for_ever_is_dropped_counted_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(playing, "get_teacher", lambda name, who: Stubborn())
    monkeypatch.setattr(recording, "_player", None)
    reports = []
    recording.record_shard(shard_job(tmp_path / "00001.parquet"), reports.append)
    notes = read_notes(tmp_path / "00001.parquet")
    assert [e["seed"] for e in notes["episodes"]] == [100_045, 6, 7, 100_046, 100_047]
    assert [(f["seed"], f["reason"]) for f in notes["failures"]] == [
        (5, "no end after 0.2 s"),
        (8, "no end after 0.2 s"),
        (9, "no idea"),
    ]
    assert reports.count(0) == 3 and len(reports) == 8
    assert len(read_episodes(tmp_path / "00001.parquet", get_task(GO_TO))) == 5


def test_a_bot_that_loops_is_in_the_summary(tmp_path):
    summary = quiet("babyai-go-to-imp-unlock", tmp_path, episodes=2, seed=5, workers=1)[
        "babyai-go-to-imp-unlock"
    ]
    assert (
        summary["seeds"][0] == 5
        and 100_045 <= summary["seeds"][1] < 100_063
        and summary["episodes"] == 2
    )
    assert summary["failures"][0] == {"seed": 6, "reason": "the bot is going round in circles"}
    assert "2 episodes" in report_line(
        summary
    ) and "dropped (the bot is going round in circles)" in report_line(summary)


def test_a_teacher_that_always_fails_ends_the_recording(tmp_path, monkeypatch):
    class Hopeless(RandomTeacher):
        def reset(self, env, seed=None):
            raise TeacherFailed("nothing works")

    monkeypatch.setattr(playing, "get_teacher", lambda name, who: Hopeless())
    monkeypatch.setattr(recording, "_player", None)
    with pytest.raises(
        ValueError, match="failed on 46 seeds within 5 episodes; the last reason was: nothing works"
    ):
        recording.record_shard(shard_job(tmp_path / "00001.parquet"), lambda steps: None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "change, message",
    [
        ({"episodes": 0}, "episodes must be at least 1, got 0"),
        ({"workers": -1}, "workers must be 0 .this process. or more, got -1"),
        ({"noise": 1.5}, "noise is a number from 0 to 1, got 1.5"),
        ({"seed": 99_999}, "seed 99999 with 2 episodes leaves that range"),
        ({"timeout": 0}, "timeout is a number of seconds above 0"),
        ({"teacher": "nobody"}, "who plays is 'teacher' or 'random' or 'search', not 'nobody'"),
        ({"tasks": "babyai-go-too"}, "did you mean babyai-go-to"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_written(change, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        quiet(**({"tasks": GO_TO, "root": tmp_path, "episodes": 2} | change))
    assert not list(tmp_path.iterdir())


# --- noise, speed
# ----------------------------------------------------------------------------------------------------------------------------


def test_noise_disturbs_what_is_executed_and_records_the_answers():
    calm, noisy = (
        EpisodePlayer("metaworld-reach", noise=noise).play(3, timeout=20)[1] for noise in (0.0, 0.3)
    )
    assert np.array_equal(calm["continuous_observations"][0], noisy["continuous_observations"][0])
    assert not np.allclose(calm["continuous_observations"][5], noisy["continuous_observations"][5])
    teacher = EpisodePlayer("metaworld-reach").teacher
    for observation, action in zip(noisy["continuous_observations"], noisy["continuous_actions"]):
        assert np.array_equal(teacher.act({"continuous_observation": observation}), action)
    again = EpisodePlayer("metaworld-reach", noise=0.3).play(3, timeout=20)[1]
    assert all(np.array_equal(again[column], noisy[column]) for column in noisy)


def test_noise_also_holds_the_body_back_so_that_standing_still_does_not_mean_having_arrived():
    """Somewhere the hand stands (less than a millimetre a step) while the teacher, far from its
    goal, says to go on at full speed.
    """
    standing_to_go = 0
    for seed in range(6):
        episode = EpisodePlayer("metaworld-reach", noise=0.8).play(seed, timeout=20)[1]
        hand, wanted = (
            episode["continuous_observations"][:, :3],
            np.abs(episode["continuous_actions"][:, :3]).max(axis=1),
        )
        moved = np.linalg.norm(np.diff(hand, axis=0, prepend=hand[:1] - 1), axis=1)
        standing_to_go += int(((moved < 1e-3) & (wanted > 0.9)).sum())
    assert standing_to_go >= 10


def test_noise_is_written_into_the_summary(tmp_path):
    summary = quiet(GO_TO, tmp_path, episodes=3, workers=1, noise=0.2)[GO_TO]
    assert (
        summary["noise"] == 0.2
        and "teacher's answers" in summary["actions"]
        and summary["success_rate"] > 0
    )


def test_an_image_episode_is_recorded_whole():
    """Frames are kept as they were: the environment may reuse its buffers."""
    outcome, episode = EpisodePlayer("atari-pong", "random").play(0, timeout=60)
    assert (
        episode["image_observations"].shape == (outcome.length, 4, 84, 84)
        and episode["image_observations"].dtype == np.uint8
    )
    images = episode["image_observations"]
    assert (images[1:, :3] == images[:-1, 1:]).all() and len(
        np.unique(images[:, 3].reshape(len(images), -1).sum(1))
    ) > 20


# --- full disk
# -------------------------------------------------------------------------------------------------------------------------------


FILL = """
import json, sys
from pathlib import Path
from jatlab.data.recording import measuring
from jatlab.data.recording import record as recording
from jatlab.data.episodes import read_episodes
from jatlab.tasks import get_task
recording.SHARD_DEFAULT = 10
if __name__ == "__main__":
    try:
        recording.record("metaworld-reach", sys.argv[1], episodes=100, workers=2, progress=False)
    except OSError as error:
        found = [path for path in Path(sys.argv[1]).rglob("*") if path.is_file()]
        shards = [len(read_episodes(path, get_task("metaworld-reach"))) for path in found if path.suffix == ".parquet"]
        print(json.dumps({"error": str(error), "shards": shards, "others": [path.name for path in found if path.suffix != ".parquet"]}))
"""


def small_disk(folder, command):
    """``command`` with a tmpfs of 300 KB on ``folder``: in a mount namespace of its own, which root
    may make, or who may map itself to root. None where neither is allowed.
    """
    for unshare in (["unshare", "--mount"], ["unshare", "--user", "--map-root-user", "--mount"]):
        script = [
            *unshare,
            "sh",
            "-c",
            'mount -t tmpfs -o size=300k tmpfs "$0" && exec "$@"',
            str(folder),
        ]
        try:
            if subprocess.run([*script, "true"], stderr=subprocess.DEVNULL).returncode == 0:
                return [*script, *command]
        except FileNotFoundError:
            pass
    return None


def limit_files():
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_a_full_disk_is_named_and_leaves_finished_shards_whole(tmp_path):
    (tmp_path / "fill.py").write_text(FILL)
    (tmp_path / "disk").mkdir()
    command = [sys.executable, str(tmp_path / "fill.py"), str(tmp_path / "disk")]
    on_small_disk = small_disk(tmp_path / "disk", command)
    run = subprocess.run(
        on_small_disk or command,
        capture_output=True,
        text=True,
        timeout=60,
        preexec_fn=None if on_small_disk else limit_files,
    )
    assert run.returncode == 0 and "Traceback" not in run.stderr
    report = json.loads(run.stdout)
    assert "the disk is full" in report["error"] and "run the same command again" in report["error"]
    assert (
        set(report["shards"]) <= {10}
        and len(report["shards"]) < 10
        and set(report["others"]) <= {"recording.json"}
    )
    assert report["shards"] or not on_small_disk  # without a small disk every file is too large


# --- measuring
# -------------------------------------------------------------------------------------------------------------------------------


def test_measuring_stores_both_policies_and_skips_what_is_known(tmp_path, monkeypatch):
    monkeypatch.setattr(
        measuring, "has_teacher", lambda name: name.startswith("babyai")
    )  # a task without a teacher is measured by chance alone
    path = tmp_path / "scores.json"
    scores = measure(
        ["babyai-go-to-obj", "mujoco-swimmer"], episodes=4, workers=2, path=path, progress=False
    )
    assert scores == json.loads(path.read_text()) and list(scores) == [
        "babyai-go-to-obj",
        "mujoco-swimmer",
    ]
    assert set(scores["babyai-go-to-obj"]) == {"teacher", "random"} and set(
        scores["mujoco-swimmer"]
    ) == {"random"}
    entry = scores["babyai-go-to-obj"]["teacher"]
    returns = [
        EpisodePlayer("babyai-go-to-obj").play(seed, 20)[0].total
        for seed in range(2_000_000, 2_000_004)
    ]
    assert entry["mean"] == pytest.approx(np.mean(returns), abs=1e-3) and entry[
        "std"
    ] == pytest.approx(np.std(returns), abs=1e-3)
    assert (
        entry["seeds"] == [2_000_000, 2_000_003]
        and entry["episodes"] == 4
        and entry["success"] == 1.0
        and "minigrid" in entry["versions"]
    )
    before = path.stat().st_mtime_ns
    measure("babyai-go-to-obj", episodes=4, path=path, progress=False)
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="not valid JSON"):
        path.write_text("{")
        measure("babyai-go-to-obj", episodes=4, path=path, progress=False)


def test_dropped_episodes_are_counted_and_in_no_mean(tmp_path):
    name = "babyai-go-to-imp-unlock"
    entry = measure(
        name,
        episodes=2,
        workers=1,
        who=["teacher"],
        seed=5,
        path=tmp_path / "scores.json",
        progress=False,
    )[name]["teacher"]
    assert entry["dropped"] == 1 and entry["episodes"] == 1 and entry["mean"] > 0.5
