"""The published data set's layout: found, fetched, and refused where it cannot be trained on."""

import io
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from jatlab.cli import main
from jatlab.data.episodes import read_episodes, write_table
from jatlab.data.published import fetch as fetching
from jatlab.data.published.fetch import fetch
from jatlab.data.published.layout import PUBLISHED, find, published_names
from jatlab.data.storage import EpisodeStore
from jatlab.tasks import get_task
from tests.support.hub import (
    NAMES,
    PICTURES,
    TEXT,
    make_row,
    make_shards,
    schema_of,
    to_episode,
    write_card,
    write_shards,
)
from tests.support.synthetic import write_task

MUJOCO = NAMES["mujoco"]


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Every kind of task, in shards, train and test; what they hold, as plain rows by (name,
    split).
    """
    folder, rows = tmp_path_factory.mktemp("repository"), {}
    names = [*NAMES.values(), TEXT, PICTURES]
    for name in names:
        rows[name, "train"] = make_shards(folder, name, [[5, 9, 2], [7, 1]])
        rows[name, "test"] = make_shards(folder, name, [[3]], "test", seed=1)
    write_card(folder, names)
    return folder, rows


def content(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


# --- where the files are
# -----------------------------------------------------------------------------------------------------


def test_all_published_tasks_have_a_name():
    names = published_names()
    assert (
        len(names) == 161
        and {"wikipedia", "oscar", "conceptual-captions", "ok-vqa"} <= set(names)
        and "python-docs" not in names
    )


@pytest.mark.parametrize("card", [True, False])
def test_files_are_found_with_and_without_a_list_of_configurations(repository, tmp_path, card):
    folder = repository[0]
    if not card:
        folder = tmp_path / "plain"
        make_shards(folder, MUJOCO, [[5, 9, 2], [7, 1]])
    found = find(MUJOCO, folder)
    assert [os.path.basename(file) for file in found.files] == [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
    ]
    assert len(list(found.rows())) == 5


def test_our_own_recordings_are_such_a_folder_too(tmp_path):
    write_task(tmp_path, MUJOCO, [5, 6])
    assert [example["number"] for example in find(MUJOCO, tmp_path).rows()] == [0, 1]


@pytest.mark.parametrize(
    "name, source, split, message",
    [
        (MUJOCO, "no/such/folder", "train", "no such folder: no/such/folder"),
        (
            "mujoco-walker",
            "FOLDER",
            "train",
            "FOLDER has no task mujoco-walker, neither .* put its files there by hand.*jatlab record mujoco-walker",
        ),
        (
            MUJOCO,
            "FOLDER",
            "validation",
            "FOLDER has no split 'validation' of mujoco-ant; it has train, test",
        ),
    ],
)
def test_what_is_not_there_is_said(repository, name, source, split, message):
    folder = str(repository[0])
    with pytest.raises(FileNotFoundError, match=message.replace("FOLDER", folder)):
        find(name, source.replace("FOLDER", folder), split)


def test_without_a_network_the_message_says_how_to_go_on():
    with pytest.raises(ConnectionError) as error:
        find("wikipedia", PUBLISHED)
    message = str(error.value)
    assert "jat-project/jat-dataset on the Hugging Face hub could not be reached" in message
    assert (
        "FOLDER/wikipedia/train-00000-of-00001.parquet" in message
        and "--from FOLDER" in message
        and "`jatlab record python-docs --episodes N`" in message
    )


def test_a_data_set_that_the_hub_does_not_know(monkeypatch):
    from datasets.exceptions import DatasetNotFoundError

    def unknown(name):
        raise DatasetNotFoundError(
            f"Dataset '{name}' doesn't exist on the Hub or cannot be accessed."
        )

    monkeypatch.setattr("datasets.get_dataset_config_names", unknown)
    with pytest.raises(
        FileNotFoundError,
        match="there is no public data set 'nobody/nothing' on the Hugging Face hub.*by hand",
    ):
        find(MUJOCO, "nobody/nothing")


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


# --- fetching
# ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES.values())
def test_what_is_fetched_is_read_as_our_own_recordings_are(repository, tmp_path, name):
    folder, rows = repository
    facts = fetch(name, tmp_path, source=folder, progress=False)
    assert facts[name]["train"] == {"episodes": 5, "timesteps": 24, "empty": 0, "done": True}
    for split in ("train", "test"):
        wanted = EpisodeStore.of_episodes(
            get_task(name), [to_episode(row, name) for row in rows[name, split]]
        )
        found = EpisodeStore.open(get_task(name), tmp_path, split)
        np.testing.assert_array_equal(found.offsets, wanted.offsets)
        assert found.texts == wanted.texts and found.columns.keys() == wanted.columns.keys()
        for column, values in wanted.columns.items():
            np.testing.assert_array_equal(found.columns[column], values)


@pytest.mark.parametrize("name", [TEXT, PICTURES])
def test_texts_and_pictures_are_fetched_as_they_are(repository, tmp_path, name):
    folder, rows = repository
    fetch(name, tmp_path, source=folder, progress=False)
    (file,) = (tmp_path / name / "train").glob("*.parquet")
    assert pq.read_table(file).to_pylist() == rows[name, "train"]


def test_the_datasets_library_decodes_the_pictures_that_were_fetched(repository, tmp_path):
    from datasets import load_dataset

    for name, mode in ((NAMES["atari"], "RGBA"), (PICTURES, "RGB")):
        fetch(name, tmp_path, ["train"], source=repository[0], progress=False)
        row = next(
            iter(
                load_dataset(
                    "parquet",
                    data_files=str(tmp_path / name / "train" / "*.parquet"),
                    split="train",
                    streaming=True,
                )
            )
        )
        picture = row["images"] if name == PICTURES else row["image_observations"][0]
        assert picture.mode == mode


def test_fetching_goes_on_where_it_was_killed(tmp_path, monkeypatch):
    make_shards(tmp_path / "repository", MUJOCO, [[3] * 4, [2] * 3, [4] * 4])
    monkeypatch.setattr(fetching, "SHARD_ROWS_DEFAULT", 2)
    fetch(MUJOCO, tmp_path / "whole", ["train"], source=tmp_path / "repository", progress=False)
    written = []

    def killed(path, *args):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(path)
        return write_table(path, *args)

    monkeypatch.setattr(fetching, "write_table", killed)
    with pytest.raises(KeyboardInterrupt):
        fetch(MUJOCO, tmp_path / "parts", ["train"], source=tmp_path / "repository", progress=False)
    assert len(content(tmp_path / "parts" / MUJOCO / "train")) == 2
    monkeypatch.setattr(fetching, "write_table", write_table)
    seen = []
    monkeypatch.setattr(
        fetching,
        "check_row",
        lambda row, task, where: seen.append(where) or len(row.column("rewards")[0].values),
    )
    fetch(MUJOCO, tmp_path / "parts", ["train"], source=tmp_path / "repository", progress=False)
    assert content(tmp_path / "parts" / MUJOCO / "train") == content(
        tmp_path / "whole" / MUJOCO / "train"
    )
    assert len(seen) == 11 - 4  # what was there is not read again


def test_asking_for_more_adds_to_what_is_there(tmp_path):
    rows = make_shards(tmp_path / "repository", MUJOCO, [[3, 2], [4, 1, 6]])
    for episodes, there, done in (
        (1, 1, False),
        (3, 3, False),
        (3, 3, False),
        (None, 5, True),
        (None, 5, True),
        (2, 5, True),
    ):
        facts = fetch(
            MUJOCO, tmp_path / "data", ["train"], episodes, tmp_path / "repository", progress=False
        )
        assert (facts[MUJOCO]["train"]["episodes"], facts[MUJOCO]["train"]["done"]) == (there, done)
    found = read_episodes(tmp_path / "data" / MUJOCO / "train", get_task(MUJOCO))
    assert [episode["rewards"].tolist() for episode in found] == [row["rewards"] for row in rows]


def test_files_end_before_they_fill_the_memory(tmp_path, monkeypatch):
    make_shards(tmp_path / "repository", MUJOCO, [[20] * 10])
    monkeypatch.setattr(fetching, "SHARD_BYTES", 8000)
    fetch(MUJOCO, tmp_path / "data", ["train"], source=tmp_path / "repository", progress=False)
    assert (
        len(content(tmp_path / "data" / MUJOCO / "train")) == 4
    )  # an episode of 20 timesteps has 3,000 bytes


def test_empty_episodes_are_left_out_and_counted(tmp_path, capsys):
    make_shards(tmp_path / "repository", MUJOCO, [[3, 0, 2], [0]])
    make_shards(tmp_path / "repository", TEXT, [[0, 4]])
    facts = fetch([MUJOCO, TEXT], tmp_path / "data", ["train"], source=tmp_path / "repository")
    assert facts[MUJOCO]["train"] == {"episodes": 2, "timesteps": 5, "empty": 2, "done": True}
    assert facts[TEXT]["train"]["empty"] == 1
    assert (
        "mujoco-ant train: 2 episodes, 5 timesteps in" in (printed := capsys.readouterr().out)
        and "2 empty ones left out" in printed
    )


def test_nothing_but_empty_episodes_is_an_error(tmp_path):
    make_shards(tmp_path / "repository", MUJOCO, [[0, 0]])
    with pytest.raises(ValueError, match="all 2 episodes of mujoco-ant, split 'train', are empty"):
        fetch(MUJOCO, tmp_path / "data", source=tmp_path / "repository", progress=False)


def test_other_data_in_the_folder_is_not_mixed_in(tmp_path):
    make_shards(tmp_path / "repository", MUJOCO, [[3, 2]])
    write_task(tmp_path / "data", MUJOCO, [5])
    with pytest.raises(
        ValueError, match="was not fetched from .* as it is now: fetch into another folder"
    ):
        fetch(MUJOCO, tmp_path / "data", source=tmp_path / "repository", progress=False)


def test_lists_of_fixed_length_and_wider_numbers_are_the_same_data(tmp_path):
    rows = make_shards(tmp_path / "plain", MUJOCO, [[3, 2]])
    wide = schema_of(MUJOCO)
    wide = wide.set(
        0, pa.field("continuous_observations", pa.large_list(pa.list_(pa.float64(), 27)))
    ).set(2, pa.field("rewards", pa.list_(pa.float64())))
    write_shards(tmp_path / "wide", MUJOCO, [rows], schema=wide.remove_metadata())
    for folder in ("plain", "wide"):
        fetch(
            MUJOCO, tmp_path / f"from-{folder}", ["train"], source=tmp_path / folder, progress=False
        )
    tables = [
        pq.read_table(tmp_path / f"from-{folder}" / MUJOCO / "train" / "00000.parquet")
        for folder in ("plain", "wide")
    ]
    assert tables[0].equals(tables[1])


def test_the_command(repository, tmp_path, capsys):
    assert (
        main(
            [
                "fetch",
                MUJOCO,
                TEXT,
                "--data",
                str(tmp_path),
                "--split",
                "train",
                "--episodes",
                "2",
                "--from",
                str(repository[0]),
            ]
        )
        == 0
    )
    assert "wikipedia train: 2 rows in" in capsys.readouterr().out
    assert [p.name for p in (tmp_path / TEXT).iterdir()] == ["train"]
    assert main(["fetch", MUJOCO, "--data", str(tmp_path), "--from", "./nowhere"]) == 2
    assert "error: no such folder: ./nowhere" in capsys.readouterr().err
    assert (
        main(
            [
                "fetch",
                MUJOCO,
                "--data",
                str(tmp_path),
                "--episodes",
                "0",
                "--from",
                str(repository[0]),
            ]
        )
        == 2
    )


# --- bad input
# ---------------------------------------------------------------------------------------------------------------


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
        "timestep 1, column 'image_observations': a picture of mode L and size 84 x 84, expected RGBA",
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
        fetch(name, tmp_path / "data", ["train"], source=tmp_path / "repository", progress=False)
    written = sorted(p.name for p in (tmp_path / "data" / name / "train").iterdir())
    assert written == ["00000.parquet", "00001.parquet"]  # the rows before it, and no half file
    assert len(read_episodes(tmp_path / "data" / name / "train", get_task(name))) == 2


@pytest.mark.parametrize(
    "name, row, message",
    [
        (TEXT, {"text": None}, r"wikipedia, row 0, column 'text': there is nothing \(null\)"),
        (PICTURES, {"images": None, "text": "Q: a? A: b"}, "ok-vqa, row 0, column 'images'"),
        (
            PICTURES,
            {"images": {"bytes": b"no picture", "path": None}, "text": "Q: a? A: b"},
            "ok-vqa, row 0",
        ),
        (
            PICTURES,
            {"images": {"bytes": _png("I;16"), "path": None}, "text": "Q: a? A: b"},
            "ok-vqa, row 0.*mode",
        ),
    ],
)
def test_texts_and_pictures_that_cannot_be_read(tmp_path, name, row, message):
    write_shards(tmp_path / "repository", name, [[row]])
    with pytest.raises(ValueError, match=message):
        fetch(name, tmp_path / "data", ["train"], source=tmp_path / "repository", progress=False)
    assert not list((tmp_path / "data").rglob("*.parquet"))


def test_a_missing_column_a_wrong_type_and_a_damaged_file(tmp_path):
    rows = [make_row(MUJOCO, 3, np.random.default_rng(0))]
    schema = schema_of(MUJOCO)
    write_shards(tmp_path / "short", MUJOCO, [rows], schema=schema.remove(1).remove_metadata())
    write_shards(
        tmp_path / "typed",
        NAMES["babyai"],
        [
            [
                make_row(NAMES["babyai"], 3, np.random.default_rng(0))
                | {"discrete_actions": [0.5, 1.0, 2.0]}
            ]
        ],
        schema=_retyped(schema_of(NAMES["babyai"]), "discrete_actions", pa.list_(pa.float64())),
    )
    write_shards(tmp_path / "cut", MUJOCO, [rows])
    (cut,) = (tmp_path / "cut").rglob("*.parquet")
    os.truncate(cut, os.path.getsize(cut) - 20)
    for folder, name, message in (
        (
            "short",
            MUJOCO,
            "train-00000-of-00001.parquet: column 'continuous_actions' is missing for mujoco-ant; expected continuous_observations, ",
        ),
        (
            "typed",
            NAMES["babyai"],
            "episode 0, column 'discrete_actions': type .*double.*, expected .*int64",
        ),
        ("cut", MUJOCO, "train-00000-of-00001.parquet: not a whole Parquet file"),
    ):
        with pytest.raises(ValueError, match=message):
            fetch(name, tmp_path / "data", ["train"], source=tmp_path / folder, progress=False)
    assert not (tmp_path / "data").exists() or not list((tmp_path / "data").rglob("*.parquet"))


def _retyped(schema, column, kind):
    return schema.set(schema.get_field_index(column), pa.field(column, kind)).remove_metadata()


def test_a_full_disk_leaves_whole_files_alone(tmp_path, monkeypatch):
    make_shards(tmp_path / "repository", MUJOCO, [[3] * 4])
    monkeypatch.setattr(fetching, "SHARD_ROWS_DEFAULT", 2)
    real, calls = pq.write_table, []

    def full(table, file, **options):
        real(table, file, **options)
        calls.append(file)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    with pytest.raises(OSError, match="the disk is full"):
        fetch(MUJOCO, tmp_path / "data", ["train"], source=tmp_path / "repository", progress=False)
    assert list(content(tmp_path / "data" / MUJOCO / "train")) == ["00000.parquet"]
