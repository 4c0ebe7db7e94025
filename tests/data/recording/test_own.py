"""Your own play as demonstrations: from the player, and from the terminal."""

import io
import json

import numpy as np
import pytest

from jatlab.agents.checkpoints import load_agent
from jatlab.data.episodes import read_episodes
from jatlab.data.parquet import read_notes
from jatlab.data.recording import own
from jatlab.data.recording.own import save_played
from jatlab.data.recording.playing import Outcome
from jatlab.data.recording.record import record
from jatlab.tasks import get_task
from jatlab.training.recipe import TrainConfig
from jatlab.training.trainer import train
from jatlab.utils.files import only_writer
from tests.support.little_tasks import GRID, PUSH
from tests.support.synthetic import make_episode

GO_TO = "babyai-go-to-obj"
BOT = "MiniGrid's BabyAIBot, which looks for keys elsewhere"
PERSON = "a person at the keyboard"


def played(root, seed, task=GRID):
    """Save one episode, which lasts three timesteps and whose return is its seed."""
    episode = make_episode(get_task(task), 3, np.random.default_rng(seed))
    return save_played(task, root, [episode], [Outcome(seed, float(seed), 3, None)])


def seeds(root, task=GRID):
    """The seeds in each file of the task."""
    files = sorted((root / task / "train").glob("*.parquet"))
    return {file.stem: [one["seed"] for one in read_notes(file)["episodes"]] for file in files}


def test_episodes_and_outcomes_belong_together(tmp_path):
    with pytest.raises(ValueError, match="0 episodes with 1 outcomes: expected as many of both"):
        save_played(GRID, tmp_path, [], [Outcome(0, 1.0, 1, None)])
    assert list(tmp_path.iterdir()) == []


def test_an_episode_of_another_task_is_refused(tmp_path):
    episode = {"rewards": np.zeros(2, np.float32)}
    with pytest.raises(ValueError, match=PUSH):
        save_played(PUSH, tmp_path, [episode], [Outcome(0, 0.0, 2, None)])


def test_nothing_is_written_over_after_a_deletion(tmp_path):
    names = [played(tmp_path, seed).stem for seed in (3, 4, 5, 6)]
    assert names == ["00000", "00001", "00002", "00003"]
    (tmp_path / GRID / "train" / "00002.parquet").unlink()
    assert played(tmp_path, 7).name == "00004.parquet"
    assert seeds(tmp_path) == {"00000": [3], "00001": [4], "00003": [6], "00004": [7]}
    facts = json.loads((tmp_path / GRID / "recording.json").read_text())
    assert facts["seeds"] == [3, 4, 6, 7] and facts["returns"] == [3, 4, 6, 7]


def test_where_another_process_records_nothing_is_saved(tmp_path):
    with only_writer(tmp_path / GRID):
        with pytest.raises(BlockingIOError, match=f"another process is writing .*{GRID}"):
            played(tmp_path, 3)
        assert not (tmp_path / GRID).exists()
    assert played(tmp_path, 3).name == "00000.parquet"


def test_a_damaged_folder_is_refused_before_anything_is_written(tmp_path):
    played(tmp_path, 3), played(tmp_path, 4)
    copy = tmp_path / GRID / "train" / "00001 (1).parquet"
    copy.write_bytes((tmp_path / GRID / "train" / "00001.parquet").read_bytes())
    with pytest.raises(ValueError, match="looks like a copy of 00001.parquet"):
        played(tmp_path, 5)
    assert seeds(tmp_path) == {"00000": [3], "00001": [4], "00001 (1)": [4]}


def test_your_play_beside_a_teachers_is_told_apart(tmp_path):
    alone = record(GO_TO, tmp_path, 3, workers=0, noise=0.3, progress=False)[GO_TO]
    assert (alone["teacher"], alone["policy"], alone["noise"]) == ("teacher", BOT, 0.3)
    assert alone["actions"].startswith("the teacher's answers") and "origins" not in alone
    played(tmp_path, 501, GO_TO), played(tmp_path, 502, GO_TO)
    facts = json.loads((tmp_path / GO_TO / "recording.json").read_text())
    assert (facts["teacher"], facts["policy"]) == ("teacher; human", f"{BOT}; {PERSON}")
    assert (facts["seed"], facts["noise"]) == (0, 0.3)
    assert facts["actions"] == "where noise was added, the teacher's answers; elsewhere as executed"
    assert facts["seeds"] == [0, 1, 2, 501, 502] and facts["episodes"] == 5
    assert facts["origins"] == [
        {"teacher": "teacher", "policy": BOT, "seed": 0, "noise": 0.3, "episodes": 3},
        {"teacher": "human", "policy": PERSON, "seed": 501, "noise": 0.0, "episodes": 2},
    ]
    assert facts["versions"] == alone["versions"]
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    for fact in ("teacher", "human", BOT, PERSON, "noise 0.3", "0 to 502"):
        assert fact in card


def test_every_version_that_played_is_named(tmp_path, monkeypatch):
    for seed, version in ((1, "0.1"), (2, "0.2"), (3, "0.1")):
        monkeypatch.setattr(own, "versions", lambda task, version=version: {"jatlab": version})
        played(tmp_path, seed)
    facts = json.loads((tmp_path / GRID / "recording.json").read_text())
    assert facts["versions"] == {"jatlab": "0.1; 0.2"}
    assert (facts["teacher"], facts["noise"], facts["actions"]) == ("human", 0, "as executed")
    assert "origins" not in facts


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
