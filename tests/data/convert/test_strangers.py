"""Data sets that jatlab did not write are read as the task that the user names."""

import json

import numpy as np
import pandas as pd
import pytest

from jatlab.cli import main
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
