"""Failures are dropped, counted and replaced by spare seeds."""

import pytest

from jatlab.data.episodes import read_episodes, read_notes
from jatlab.data.recording import playing, shards
from jatlab.data.recording.record import record, report_line
from jatlab.data.recording.shards import RecordSettings, ShardJob, record_shard
from jatlab.tasks import get_task
from jatlab.teachers import RandomTeacher, TeacherFailed

GO_TO = "babyai-go-to-obj"


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


def test_an_endless_episode_is_dropped_counted_and_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(playing, "get_teacher", lambda name, who: Stubborn())
    monkeypatch.setattr(shards, "_player", None)
    reports = []
    record_shard(shard_job(tmp_path / "00001.parquet"), reports.append)
    notes = read_notes(tmp_path / "00001.parquet")
    assert [e["seed"] for e in notes["episodes"]] == [100_045, 6, 7, 100_046, 100_047]
    assert [(f["seed"], f["reason"]) for f in notes["failures"]] == [
        (5, "no end after 0.2 s"),
        (8, "no end after 0.2 s"),
        (9, "no idea"),
    ]
    assert reports.count(0) == 3 and len(reports) == 8
    assert len(read_episodes(tmp_path / "00001.parquet", get_task(GO_TO))) == 5


@pytest.mark.slow
def test_a_bot_that_loops_is_in_the_summary(tmp_path):
    name = "babyai-go-to-imp-unlock"
    summary = record(name, tmp_path, episodes=2, seed=5, workers=1, progress=False)[name]
    first, second = summary["seeds"]
    assert first == 5 and 100_045 <= second < 100_063 and summary["episodes"] == 2
    assert summary["failures"][0] == {"seed": 6, "reason": "the bot is going round in circles"}
    line = report_line(summary)
    assert "2 episodes" in line and "dropped (the bot is going round in circles)" in line


def test_a_teacher_that_always_fails_ends_the_recording(tmp_path, monkeypatch):
    class Hopeless(RandomTeacher):
        def reset(self, env, seed=None):
            raise TeacherFailed("nothing works")

    monkeypatch.setattr(playing, "get_teacher", lambda name, who: Hopeless())
    monkeypatch.setattr(shards, "_player", None)
    message = "failed on 46 seeds within 5 episodes; the last reason was: nothing works"
    with pytest.raises(ValueError, match=message):
        record_shard(shard_job(tmp_path / "00001.parquet"), lambda steps: None)
    assert not list(tmp_path.iterdir())
