"""Data sets that jatlab did not write are read as the task that the user names."""

import json

import numpy as np
import pandas as pd
import pytest

from jatlab.cli import main
from jatlab.data.convert.command import convert
from jatlab.data.episodes import read_episodes
from jatlab.tasks import get_task

REACH = "metaworld-reach"
LENGTHS = (3, 2)


@pytest.fixture
def steps():
    rng = np.random.default_rng(0)
    size = sum(LENGTHS)
    return {
        "observation.state": rng.normal(size=(size, 39)).astype(np.float32),
        "action": rng.uniform(-1, 1, (size, 4)).astype(np.float32),
    }


def lerobot(folder, steps):
    """As little as the format allows: lists of any size, no rewards, an index without a name."""
    features = {
        name: {"dtype": "float32", "shape": [len(value[0])]} for name, value in steps.items()
    }
    (folder / "meta").mkdir(parents=True)
    (folder / "data/chunk-000").mkdir(parents=True)
    info = {"codebase_version": "v3.0", "features": features}
    (folder / "meta/info.json").write_text(json.dumps(info))
    pd.DataFrame({"task_index": [0]}, index=["reach!"]).to_parquet(folder / "meta/tasks.parquet")
    numbers = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
    columns = {name: list(values) for name, values in steps.items()}
    table = pd.DataFrame(columns | {"episode_index": numbers, "task_index": 0})
    table.to_parquet(folder / "data/chunk-000/file-000.parquet")


def episodes_of(root):
    return read_episodes(root / REACH / "train", get_task(REACH))


def test_a_strangers_lerobot_data_set(tmp_path, steps):
    lerobot(tmp_path / "theirs", steps)
    command = ["convert", str(tmp_path / "theirs"), str(tmp_path / "out"), "--to", "jatlab"]
    assert main(command) == 2  # it does not say its task
    assert main([*command, "--task", REACH]) == 0
    found = episodes_of(tmp_path / "out")
    assert [len(one["rewards"]) for one in found] == list(LENGTHS)
    seen = np.concatenate([one["continuous_observations"] for one in found])
    np.testing.assert_array_equal(seen, steps["observation.state"])
    assert not any(one["rewards"].any() for one in found)


def test_a_strangers_minari_data_set(tmp_path, steps, monkeypatch):
    minari = pytest.importorskip("minari")
    from gymnasium.spaces import Box
    from minari.data_collector import EpisodeBuffer

    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "theirs"))
    seen, acted = steps["observation.state"], steps["action"]
    buffer = EpisodeBuffer(
        observations=list(seen),
        actions=list(acted[:-1]),
        rewards=[1.0, 2.0, 3.0, 4.0],
        terminations=[False] * 4,
        truncations=[False] * 3 + [True],
    )
    minari.create_dataset_from_buffers(
        "theirs/pick-v1",
        [buffer],
        observation_space=Box(-9, 9, (39,), np.float32),
        action_space=Box(-1, 1, (4,), np.float32),
    )
    folder = tmp_path / "theirs" / "theirs" / "pick-v1"
    command = ["convert", str(folder), str(tmp_path / "out"), "--to", "jatlab", "--task", REACH]
    assert main(command) == 0
    (one,) = episodes_of(tmp_path / "out")
    np.testing.assert_array_equal(one["continuous_observations"], seen[:-1])
    np.testing.assert_array_equal(one["rewards"], [1, 2, 3, 4])


@pytest.mark.parametrize(
    "change, told",
    [
        (lambda info: info.pop("features"), "info.json: features is None: expected a mapping"),
        (lambda info: info.update(features=[1]), r"info.json: features is \[1\]: expected a map"),
        (lambda info: info["features"].update(action=4), r"features\['action'\] is 4: expected"),
        (lambda info: info["features"].pop("action"), r"needs action of the shape \[4\], the data"),
        (
            lambda info: info["features"]["action"].pop("shape"),
            r"needs action of the shape \[4\], the data set has {.*'action': None}",
        ),
    ],
)
def test_a_description_with_gaps_is_named(tmp_path, steps, change, told):
    lerobot(tmp_path / "theirs", steps)
    path = tmp_path / "theirs/meta/info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))
    with pytest.raises(ValueError, match=told):
        convert(tmp_path / "theirs", tmp_path / "out", "jatlab", REACH)
    assert not list((tmp_path / "out").rglob("*.parquet"))


@pytest.mark.parametrize("column", ["action", "episode_index", "observation.state"])
def test_a_column_that_is_missing_is_named(tmp_path, steps, column):
    lerobot(tmp_path / "theirs", steps)
    path = tmp_path / "theirs/data/chunk-000/file-000.parquet"
    pd.read_parquet(path).drop(columns=column).to_parquet(path)
    with pytest.raises(ValueError, match=f"file-000.parquet: column '{column}' is missing"):
        convert(tmp_path / "theirs", tmp_path / "out", "jatlab", REACH)


def test_instructions_that_are_missing_are_named(tmp_path):
    """A grid's mission is its instruction, by its number."""
    rng = np.random.default_rng(0)
    steps = {"observation.environment_state": rng.integers(0, 8, (5, 148))}
    lerobot(tmp_path / "theirs", steps | {"action": np.zeros((5, 1), np.int64)})
    path = tmp_path / "theirs/meta/tasks.parquet"
    pd.DataFrame({"task_index": [7]}, index=["go"]).to_parquet(path)
    with pytest.raises(ValueError, match="task_index 0 stands for no instruction.*has .7."):
        convert(tmp_path / "theirs", tmp_path / "out", "jatlab", "babyai-open")
    pd.DataFrame({"number": [0]}, index=["go"]).to_parquet(path)
    with pytest.raises(ValueError, match="tasks.parquet: column 'task_index' is missing"):
        convert(tmp_path / "theirs", tmp_path / "out", "jatlab", "babyai-open")


def test_a_task_of_other_sizes_is_named(tmp_path, steps):
    lerobot(tmp_path / "theirs", steps)
    with pytest.raises(ValueError, match=r"mujoco-ant needs observation.state of the shape \[27\]"):
        convert(tmp_path / "theirs", tmp_path / "out", "jatlab", "mujoco-ant")
