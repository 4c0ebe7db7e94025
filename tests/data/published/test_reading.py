"""Published rows are read a few at a time; those that cannot be trained on are refused by name."""

import io
import os

import numpy as np
import pyarrow as pa
import pytest

from jatlab.data.episodes import read_episodes
from jatlab.data.published import fetch as fetching
from jatlab.data.published.fetch import fetch
from jatlab.data.published.layout import find
from jatlab.tasks import get_task
from tests.support.hub import (
    NAMES,
    PICTURES,
    TEXT,
    make_row,
    make_shards,
    schema_of,
    write_shards,
)

MUJOCO, BABYAI = NAMES["mujoco"], NAMES["babyai"]


def fetch_from(folder, name, target):
    return fetch(name, target, ["train"], source=folder, progress=False)


def test_a_few_rows_are_in_memory_at_a_time(tmp_path, monkeypatch):
    make_shards(tmp_path, MUJOCO, [[200] * 80])
    (file,) = find(MUJOCO, tmp_path).files
    read = []

    class Counting(io.FileIO):
        def read(self, size=-1):
            read.append(size)
            return super().read(size)

    monkeypatch.setattr("fsspec.open", Counting)
    next(iter(find(MUJOCO, tmp_path).rows()))
    assert 0 < sum(read) < os.path.getsize(file) / 2


# --- bad input ---


def _png(mode, size=(84, 84)):
    from PIL import Image

    buffer = io.BytesIO()
    Image.new(mode, size).save(buffer, "PNG")
    return buffer.getvalue()


def _frame(data):
    def damage(row):
        row["image_observations"][1]["bytes"] = data

    return damage


def _set(column, t, value):
    def damage(row):
        if t is None:
            row[column] = value
        else:
            row[column][t] = value

    return damage


DAMAGES = {
    "mixed lengths": (
        "mujoco",
        _set("rewards", None, [0.0]),
        "the columns differ in length: 'continuous_observations' 4, .*'rewards' 1 timesteps",
    ),
    "no rewards": ("mujoco", _set("rewards", None, []), "the columns differ in length"),
    "NaN": (
        "mujoco",
        _set("rewards", 2, float("nan")),
        "column 'rewards': NaN or infinite value at timestep 2",
    ),
    "null episode": (
        "mujoco",
        _set("continuous_actions", None, None),
        r"column 'continuous_actions': there is nothing \(null\)",
    ),
    "null timestep": (
        "mujoco",
        _set("continuous_actions", 1, None),
        "column 'continuous_actions': expected a value at every timestep, 1 are empty",
    ),
    "null number": (
        "metaworld",
        _set("continuous_actions", 1, [None] * 4),
        "column 'continuous_actions'.*4 empty entries",
    ),
    "other size": (
        "mujoco",
        _set("continuous_observations", None, [[0.0] * 5] * 4),
        r"column 'continuous_observations': a timestep has shape \(5,\), expected \(27,\)",
    ),
    "unequal sizes": (
        "mujoco",
        _set("continuous_observations", 1, [0.0]),
        "column 'continuous_observations'.*timesteps of different sizes: 1, 27",
    ),
    "unknown action": (
        "babyai",
        _set("discrete_actions", 3, 7),
        "column 'discrete_actions': action 7 at timestep 3, expected 0 to 6",
    ),
    "missing mission": (
        "babyai",
        _set("text_observations", 0, None),
        "column 'text_observations': expected a value at every timestep",
    ),
    "grey picture": (
        "atari",
        _frame(_png("L")),
        "timestep 1, column 'image_observations': a picture of mode L and size 84 x 84, "
        "expected RGBA",
    ),
    "colour picture": ("atari", _frame(_png("RGB")), "a picture of mode RGB"),
    "large picture": (
        "atari",
        _frame(_png("RGBA", (96, 84))),
        "a picture of mode RGBA and size 96 x 84",
    ),
    "cut picture": (
        "atari",
        _frame(_png("RGBA")[:60]),
        "column 'image_observations': a picture that cannot be read",
    ),
    "no picture": (
        "atari",
        _frame(None),
        "column 'image_observations': a picture that cannot be read",
    ),
}


@pytest.mark.parametrize("kind", DAMAGES)
def test_rows_that_cannot_be_trained_on(tmp_path, monkeypatch, kind):
    domain, damage, message = DAMAGES[kind]
    name, rng = NAMES[domain], np.random.default_rng(0)
    rows = [make_row(name, 4, rng) for _ in range(3)]
    damage(rows[1])
    write_shards(tmp_path / "repository", name, [[make_row(name, 2, rng)], rows])
    monkeypatch.setattr(fetching, "SHARD_ROWS", {})
    monkeypatch.setattr(fetching, "SHARD_ROWS_DEFAULT", 1)
    where = f"{tmp_path / 'repository'}, train-00001-of-00002.parquet: {name}, episode 1"
    with pytest.raises(ValueError, match=f"^{where}.*{message}"):
        fetch_from(tmp_path / "repository", name, tmp_path / "data")
    written = sorted(p.name for p in (tmp_path / "data" / name / "train").iterdir())
    assert written == ["00000.parquet", "00001.parquet"]  # the rows before it, and no half file
    assert len(read_episodes(tmp_path / "data" / name / "train", get_task(name))) == 2


def _with_picture(data):
    return {"images": {"bytes": data, "path": None}, "text": "Q: a? A: b"}


@pytest.mark.parametrize(
    "name, row, message",
    [
        (TEXT, {"text": None}, r"wikipedia, row 0, column 'text': there is nothing \(null\)"),
        (PICTURES, {"images": None, "text": "Q: a? A: b"}, "ok-vqa, row 0, column 'images'"),
        (PICTURES, _with_picture(b"no picture"), "ok-vqa, row 0"),
        (PICTURES, _with_picture(_png("I;16")), "ok-vqa, row 0.*mode"),
    ],
)
def test_texts_and_pictures_that_cannot_be_read(tmp_path, name, row, message):
    write_shards(tmp_path / "repository", name, [[row]])
    with pytest.raises(ValueError, match=message):
        fetch_from(tmp_path / "repository", name, tmp_path / "data")
    assert not list((tmp_path / "data").rglob("*.parquet"))


def test_a_missing_column_a_wrong_type_and_a_damaged_file(tmp_path):
    rows = [make_row(MUJOCO, 3, np.random.default_rng(0))]
    schema = schema_of(MUJOCO).remove(1).remove_metadata()
    write_shards(tmp_path / "short", MUJOCO, [rows], schema=schema)
    row = make_row(BABYAI, 3, np.random.default_rng(0)) | {"discrete_actions": [0.5, 1.0, 2.0]}
    schema = _retyped(schema_of(BABYAI), "discrete_actions", pa.list_(pa.float64()))
    write_shards(tmp_path / "typed", BABYAI, [[row]], schema=schema)
    write_shards(tmp_path / "cut", MUJOCO, [rows])
    (cut,) = (tmp_path / "cut").rglob("*.parquet")
    os.truncate(cut, os.path.getsize(cut) - 20)
    missing = (
        "train-00000-of-00001.parquet: column 'continuous_actions' is missing for mujoco-ant; "
        "expected continuous_observations, "
    )
    wrong = "episode 0, column 'discrete_actions': type .*double.*, expected .*int64"
    damaged = "train-00000-of-00001.parquet: not a complete Parquet file"
    for folder, name, message in (
        ("short", MUJOCO, missing),
        ("typed", BABYAI, wrong),
        ("cut", MUJOCO, damaged),
    ):
        with pytest.raises(ValueError, match=message):
            fetch_from(tmp_path / folder, name, tmp_path / "data")
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("*.parquet"))


def _retyped(schema, column, kind):
    return schema.set(schema.get_field_index(column), pa.field(column, kind)).remove_metadata()
