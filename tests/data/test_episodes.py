"""Episodes on disk: they come back unchanged, other libraries read them, bad ones are refused."""

from types import SimpleNamespace

import numpy as np
import pytest

from jatlab.data.episodes import (
    check_episode,
    column_names,
    read_episodes,
    read_notes,
    write_episodes,
)

REACH = SimpleNamespace(
    name="metaworld-reach",
    observation="continuous",
    observation_size=39,
    action="continuous",
    action_size=4,
)
GO_TO = SimpleNamespace(
    name="babyai-go-to",
    observation="discrete",
    observation_size=148,
    action="discrete",
    action_size=7,
)
PONG = SimpleNamespace(
    name="atari-pong", observation="image", observation_size=28224, action="discrete", action_size=6
)


def make_episode(task, length, seed=0):
    rng = np.random.default_rng(seed)
    episode = {"rewards": rng.normal(size=length).astype(np.float32)}
    if task.observation == "continuous":
        episode["continuous_observations"] = rng.normal(size=(length, 39)).astype(np.float32)
    elif task.observation == "discrete":
        episode["discrete_observations"] = rng.integers(0, 11, (length, 148))
        episode["text_observations"] = np.array(["go to the réd ball"] * length, dtype=object)
    else:
        episode["image_observations"] = rng.integers(0, 256, (length, 4, 84, 84), dtype=np.uint8)
    if task.action == "continuous":
        episode["continuous_actions"] = rng.uniform(-1, 1, (length, 4)).astype(np.float32)
    else:
        episode["discrete_actions"] = rng.integers(0, task.action_size, length)
    return episode


@pytest.mark.parametrize("task", [REACH, GO_TO, PONG], ids=lambda t: t.name)
def test_round_trip_is_exact(task, tmp_path):
    episodes = [make_episode(task, length, seed=length) for length in (3, 1, 7)]
    path = write_episodes(
        tmp_path / "train" / "00000.parquet", episodes, task, notes={"seeds": [1, 2, 3]}
    )
    back = read_episodes(path, task)
    assert [len(e["rewards"]) for e in back] == [3, 1, 7]
    for written, read in zip(episodes, back, strict=True):
        assert set(read) == set(column_names(task))
        for column, values in written.items():
            assert read[column].dtype == values.dtype and read[column].shape == values.shape
            assert (read[column] == values).all(), column
    assert read_notes(path) == {"seeds": [1, 2, 3]}
    assert [p.name for p in path.parent.iterdir()] == ["00000.parquet"]


def test_the_same_episodes_give_the_same_bytes(tmp_path):
    episodes = [make_episode(GO_TO, 5)]
    a, b = (write_episodes(tmp_path / f"{name}.parquet", episodes, GO_TO) for name in "ab")
    assert a.read_bytes() == b.read_bytes()


def test_a_folder_is_read_in_the_order_of_its_files(tmp_path):
    for i in (1, 0):
        write_episodes(tmp_path / f"0000{i}.parquet", [make_episode(REACH, 2 + i)], REACH)
    assert [len(e["rewards"]) for e in read_episodes(tmp_path, REACH)] == [2, 3]
    with pytest.raises(FileNotFoundError, match="jatlab record"):
        read_episodes(tmp_path / "nowhere.parquet", REACH)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no episodes"):
        read_episodes(tmp_path / "empty", REACH)


@pytest.mark.parametrize("task", [REACH, GO_TO, PONG], ids=lambda t: t.name)
def test_the_datasets_library_reads_the_columns(task, tmp_path):
    import datasets

    episode = make_episode(task, 4)
    path = write_episodes(tmp_path / "00000.parquet", [episode, make_episode(task, 2)], task)
    rows = datasets.load_dataset(
        "parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert tuple(rows.column_names) == column_names(task) and len(rows) == 2
    first = rows[0]
    assert np.allclose(first["rewards"], episode["rewards"])
    if task is PONG:
        frames = np.asarray(first["image_observations"][1]).transpose(2, 0, 1)
        assert (frames == episode["image_observations"][1]).all()
    elif task is GO_TO:
        assert first["text_observations"] == ["go to the réd ball"] * 4
        assert (np.array(first["discrete_observations"]) == episode["discrete_observations"]).all()
    else:
        assert np.array(first["continuous_observations"], np.float32).shape == (4, 39)


def broken(task, **changes):
    episode = make_episode(task, 4)
    for column, change in changes.items():
        episode[column] = change(episode[column])
    return episode


def with_nan(values):
    values = values.copy()
    values[2] = np.nan
    return values


@pytest.mark.parametrize(
    "task, column, change, message",
    [
        (REACH, "continuous_observations", with_nan, "NaN or infinite value at timestep 2"),
        (REACH, "rewards", lambda r: with_nan(r), "NaN or infinite value at timestep 2"),
        (REACH, "continuous_actions", lambda a: a[:3], "3 timesteps, but 'rewards' has 4"),
        (
            REACH,
            "continuous_observations",
            lambda o: o[:, :38],
            r"has shape \(38,\), expected \(39,\)",
        ),
        (
            REACH,
            "continuous_actions",
            lambda a: a.astype(str),
            "values of type .U32, expected float32",
        ),
        (
            GO_TO,
            "discrete_observations",
            lambda o: o + 0.5,
            "values of type float64, expected int64",
        ),
        (GO_TO, "discrete_actions", lambda a: a + 7, "expected 0 to 6"),
        (GO_TO, "text_observations", lambda t: np.arange(4), "expected text"),
        (
            PONG,
            "image_observations",
            lambda i: i[:, :3],
            r"has shape \(3, 84, 84\), expected \(4, 84, 84\)",
        ),
    ],
)
def test_a_bad_episode_is_refused_by_name(task, column, change, message, tmp_path):
    episodes = [make_episode(task, 4), broken(task, **{column: change})]
    with pytest.raises(ValueError, match=f"{task.name}, episode 1, column '{column}': .*{message}"):
        write_episodes(tmp_path / "00000.parquet", episodes, task)
    assert not list(tmp_path.iterdir())


def test_empty_and_incomplete_episodes_are_refused(tmp_path):
    with pytest.raises(ValueError, match="episode 0: the episode is empty"):
        write_episodes(tmp_path / "00000.parquet", [make_episode(REACH, 0)], REACH)
    episode = make_episode(REACH, 3)
    del episode["continuous_actions"]
    with pytest.raises(ValueError, match="column 'continuous_actions' is missing"):
        check_episode(episode, REACH)
    with pytest.raises(ValueError, match="no episodes to write"):
        write_episodes(tmp_path / "00000.parquet", [], REACH)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-100],
        lambda data: data[:0],
        lambda data: data[:4000] + bytes(4000) + data[8000:],
    ],
    ids=["cut off", "nothing", "zeros inside"],
)
def test_a_damaged_file_is_named(damage, tmp_path):
    path = write_episodes(tmp_path / "00000.parquet", [make_episode(REACH, 50)], REACH)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="00000.parquet: not a complete Parquet file"):
        read_episodes(path, REACH)


def test_foreign_files_are_checked_too(tmp_path):
    """Files that something else wrote: a missing column, a NaN, sizes that change in an episode."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    good = {
        "continuous_observations": [[[0.0] * 39] * 2],
        "continuous_actions": [[[0.0] * 4] * 2],
        "rewards": [[1.0, 2.0]],
    }
    without_rewards = {k: v for k, v in good.items() if k != "rewards"}
    unequal = [[[0.0] * 4, [0.0] * 3]]
    cases = {
        "column 'rewards' is missing for metaworld-reach": without_rewards,
        "column 'rewards': NaN": {**good, "rewards": [[1.0, float("nan")]]},
        "timesteps of different sizes: 3, 4": {**good, "continuous_actions": unequal},
        "expected a list of values": {**good, "rewards": [1.0]},
        "cannot be read as float32": {**good, "rewards": [["a", "b"]]},
        "the episode is empty": {k: [[]] for k in good},
    }
    for message, columns in cases.items():
        pq.write_table(pa.table(columns), tmp_path / "x.parquet")
        with pytest.raises(ValueError, match=message):
            read_episodes(tmp_path / "x.parquet", REACH)
    pq.write_table(pa.table(good), tmp_path / "x.parquet")
    (episode,) = read_episodes(tmp_path / "x.parquet", REACH)
    assert episode["continuous_observations"].dtype == np.float32
