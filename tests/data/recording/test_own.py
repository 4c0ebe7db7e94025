"""Your own play as demonstrations: from the player, and from the terminal."""

import io
import json

import numpy as np
import pytest

from jatlab.agents.checkpoints import load_agent
from jatlab.data.episodes import read_episodes
from jatlab.data.recording.own import save_played
from jatlab.data.recording.playing import Outcome
from jatlab.data.recording.record import record
from jatlab.tasks import get_task
from jatlab.training.recipe import TrainConfig
from jatlab.training.trainer import train
from tests.support.little_tasks import GRID, PUSH


def test_episodes_and_outcomes_belong_together(tmp_path):
    with pytest.raises(ValueError, match="0 episodes with 1 outcomes: expected as many of both"):
        save_played(GRID, tmp_path, [], [Outcome(0, 1.0, 1, None)])
    assert list(tmp_path.iterdir()) == []


def test_an_episode_of_another_task_is_refused(tmp_path):
    episode = {"rewards": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match=PUSH):
        save_played(PUSH, tmp_path, [episode], [Outcome(0, 0.0, 2, None)])


@pytest.fixture
def typed(monkeypatch):
    """Types lines into the recording."""

    def type_lines(lines):
        monkeypatch.setattr("sys.stdin", io.StringIO("".join(f"{line}\n" for line in lines)))

    return type_lines


def test_a_person_records_at_the_terminal(tmp_path, typed):
    typed([1, 2, 3] * 8)
    summaries = record(GRID, tmp_path, 2, seed=4, teacher="human")
    episodes = read_episodes(tmp_path / GRID / "train", get_task(GRID))
    assert [one["discrete_actions"].tolist() for one in episodes] == [[0, 1, 2] * 4] * 2
    assert summaries[GRID]["seeds"] == [4, 5]
    assert summaries[GRID]["policy"] == "a person at the keyboard"


def test_an_episode_given_up_is_dropped_and_counted(tmp_path, typed):
    typed([1, 1, "Q", *[2] * 12])
    summary = record(GRID, tmp_path, 1, teacher="human", progress=False)[GRID]
    assert summary["failures"] == [{"seed": 0, "reason": "given up"}]
    assert summary["seeds"] == [100_000] and summary["episodes"] == 1


def test_the_end_of_the_input_keeps_what_is_finished(tmp_path, typed):
    typed([1] * 20)  # one episode and a half
    with pytest.raises(KeyboardInterrupt, match="1 of 3 episodes of app-grid"):
        record(GRID, tmp_path, 3, teacher="human")
    facts = json.loads((tmp_path / GRID / "recording.json").read_text())
    assert facts["episodes"] == 1


@pytest.mark.slow
def test_an_agent_is_trained_on_your_episodes(tmp_path, typed):
    typed(["left", "forward"] * 200)
    record("babyai-go-to-obj", tmp_path / "data", 2, teacher="human", progress=False)
    where = dict(data=str(tmp_path / "data"), output=str(tmp_path / "run"), device="cpu")
    folder = train(TrainConfig(**where, steps=3, batch_timesteps=64, log_every=1))
    lines = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3]
    assert list(load_agent(folder).info["data"]) == ["babyai-go-to-obj"]
