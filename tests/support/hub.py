"""Data sets arranged as the published one: a README that lists the configurations, Parquet shards
called after their split.
"""

import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from jatlab.data.episodes import IMAGE_SHAPE
from jatlab.tasks import get_task
from tests.support.synthetic import make_episode

NAMES = {
    "atari": "atari-pong",
    "babyai": "babyai-go-to-obj",
    "metaworld": "metaworld-reach",
    "mujoco": "mujoco-ant",
}
TEXT, PICTURES = "wikipedia", "ok-vqa"
SENTENCE = "the key is red and blue and lies beside a green door behind which a grey ball waits"
WORDS = SENTENCE.split()


def png(picture: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG")
    return buffer.getvalue()


def make_row(name, length, rng):
    """A row as the published files have it, in plain Python: an episode of ``length`` timesteps, a
    document of so many words, or a picture.
    """
    task = get_task(name)
    words = " ".join(rng.choice(WORDS, length))
    if task.observation == "text":
        return {"text": words}
    if task.observation == "picture":
        return {
            "images": {
                "bytes": png(rng.integers(0, 256, (40, 30 + length, 3), dtype=np.uint8)),
                "path": None,
            },
            "text": f"Q: {words}? A: {WORDS[length % 9]}",
        }
    episode = make_episode(task, length, rng)
    row = {
        column: values.tolist()
        for column, values in episode.items()
        if column != "image_observations"
    }
    if task.observation == "image":
        row["image_observations"] = [
            {"bytes": png(frame.transpose(1, 2, 0)), "path": None}
            for frame in episode["image_observations"]
        ]
    return row


def schema_of(name):
    """Types and metadata of a file that ``datasets`` has pushed to the hub: lists of values,
    pictures as the Image feature.
    """
    task = get_task(name)

    def value(kind):
        return {"dtype": kind, "_type": "Value"}

    def listed(feature, length=-1):
        size = {"length": length} if length > 0 else {}
        return {"feature": feature, "_type": "Sequence"} | size

    image, binary = {"_type": "Image"}, pa.struct({"bytes": pa.binary(), "path": pa.string()})
    kinds = {
        "image_observations": (listed(image), pa.list_(binary)),
        "text_observations": (listed(value("string")), pa.list_(pa.string())),
        "discrete_observations": (listed(listed(value("int64"))), pa.list_(pa.list_(pa.int64()))),
        "continuous_observations": (
            listed(listed(value("float32"))),
            pa.list_(pa.list_(pa.float32())),
        ),
        "continuous_actions": (listed(listed(value("float32"))), pa.list_(pa.list_(pa.float32()))),
        "discrete_actions": (listed(value("int64")), pa.list_(pa.int64())),
        "rewards": (listed(value("float32")), pa.list_(pa.float32())),
        "images": (image, binary),
        "text": (value("string"), pa.string()),
    }
    from jatlab.data.published.layout import columns_of

    columns = columns_of(task)
    metadata = {
        "huggingface": json.dumps({"info": {"features": {c: kinds[c][0] for c in columns}}})
    }
    return pa.schema([(c, kinds[c][1]) for c in columns], metadata)


def write_shards(folder, name, shards, split="train", schema=None):
    """Write ``shards`` (lists of rows) as ``folder/name/split-0000i-of-0000n.parquet``."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    for i, rows in enumerate(shards):
        table = pa.Table.from_pylist(rows, schema=schema or schema_of(name))
        pq.write_table(
            table, folder / name / f"{split}-{i:05d}-of-{len(shards):05d}.parquet", row_group_size=4
        )
    return [row for rows in shards for row in rows]


def make_shards(folder, name, lengths, split="train", seed=0):
    """The same for made-up rows of these ``lengths``, one list a file."""
    rng = np.random.default_rng(seed)
    return write_shards(
        folder,
        name,
        [[make_row(name, length, rng) for length in shard] for shard in lengths],
        split,
    )


def write_card(folder, names, splits=("train", "test")):
    """A README.md that lists the configurations, as the hub's data sets have it."""
    lines = ["---", "configs:"]
    for name in names:
        lines += [f"- config_name: {name}", "  data_files:"]
        for split in splits:
            lines += [f"  - split: {split}", f"    path: {name}/{split}-*"]
    (folder / "README.md").write_text("\n".join([*lines, "---", "# A data set", ""]))


def to_episode(row, name):
    """A row as the episode that our own recordings would hold."""
    task, episode = get_task(name), {}
    for column, values in row.items():
        if column == "image_observations":
            frames = [
                np.asarray(Image.open(io.BytesIO(v["bytes"]))).transpose(2, 0, 1) for v in values
            ]
            episode[column] = np.stack(frames) if frames else np.zeros((0, *IMAGE_SHAPE), np.uint8)
        else:
            kind = {"c": np.float32, "r": np.float32, "d": np.int64, "t": object}[column[0]]
            episode[column] = np.array(values, dtype=kind)
    assert task.playable
    return episode
