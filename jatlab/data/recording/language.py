"""Recording what the package brings along: documents of CPython, captions of MiniGrid scenes,
questions about them.

    <root>/<task>/train/00000.parquet …   column ``text``; pictures also ``images`` (the Image feature of the datasets library): the published columns
    <root>/<task>/test/00000.parquet …    other documents, other scenes, never seen in training
    <root>/<task>/recording.json          what was recorded, from what

Scene i of training has seed ``seed + i``, of testing 1,000,000 + i. A shard depends on nothing but
its seeds: any number of workers makes the same files, and those that are there are kept.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from platform import python_version

import numpy as np
from tqdm import tqdm

from jatlab.utils.files import atomic_write, write_json
from jatlab.utils.workers import run_jobs

TASKS = ("python-docs", "minigrid-captions", "minigrid-questions")
SHARD = 500  # scenes a file
TEST_SHARE = 0.1  # scenes of testing for one of training
PAIRS = {"train": 3, "test": 1}  # questions about one scene
LAST_TRAIN_SEED = 99_999
_NOTES = b"jatlab"
_IMAGES = json.dumps(
    {
        "info": {
            "features": {
                "images": {"_type": "Image"},
                "text": {"dtype": "string", "_type": "Value"},
            }
        }
    }
).encode()


@dataclass(frozen=True)
class SceneJob:
    """One file to make: ``count`` scenes from seed ``first`` on."""

    task: str
    split: str
    first: int
    count: int
    path: str


def how_to_get(name: str) -> str:
    """What to do for the data of a task of text or pictures."""
    if name in TASKS:
        return f"record it with `jatlab record {name}`"
    return f"{name} is part of the published data set: fetch it with `jatlab fetch {name}`, or put Parquet files with its columns there"


def record_language(
    names: list[str],
    root: Path,
    scenes: int,
    workers: int = 2,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, dict]:
    """Record these tasks, train and test, and return what each ``recording.json`` says.

    ``scenes`` of training for each task of pictures (a tenth of that for testing); the documents
    are always all recorded. Raises ValueError for a task that is published rather than recorded and
    for seeds out of range, OSError when the disk is full, ImportError without MiniGrid.
    """
    for name in names:
        if name not in TASKS:
            raise ValueError(
                f"{name} cannot be recorded: {how_to_get(name)}; recordable are {', '.join(TASKS)}"
            )
    if scenes < 1 or seed < 0 or seed + scenes > LAST_TRAIN_SEED + 1:
        raise ValueError(
            f"scenes of training have seeds 0 to {LAST_TRAIN_SEED:,}: {scenes} from seed {seed} do not fit"
        )
    summaries = {name: _record_documents(root) for name in names if name == "python-docs"}
    jobs = [
        job for name in names if name != "python-docs" for job in _missing(name, root, scenes, seed)
    ]
    _run(jobs, workers, progress)
    summaries |= {
        name: _summarise_scenes(name, root, seed) for name in names if name != "python-docs"
    }
    if progress:
        print("\n".join(report_line(summaries[name]) for name in names))
    return {name: summaries[name] for name in names}


def report_line(summary: dict) -> str:
    """A recording in one line."""
    counts = ", ".join(
        f"{summary[split]['rows']:,} {summary['unit']} to {verb}"
        for split, verb in (("train", "learn from"), ("test", "test with"))
    )
    return f"{summary['task']}: {counts}; {summary['train']['characters']:,} and {summary['test']['characters']:,} characters"


# --- documents
# ---------------------------------------------------------------------------------------------------------------


def _record_documents(root: Path) -> dict:
    from jatlab.data.recording.corpus import documents, split_documents

    summary = {
        "task": "python-docs",
        "unit": "documents",
        "source": f"pydoc_data.topics and docstrings of the standard library, CPython {python_version()}",
    }
    for split, texts in zip(("train", "test"), split_documents(documents())):
        write_rows(root / "python-docs" / split / "00000.parquet", {"text": texts})
        summary[split] = {"rows": len(texts), "characters": sum(map(len, texts))}
    write_json(root / "python-docs" / "recording.json", summary)
    return summary


# --- scenes
# ------------------------------------------------------------------------------------------------------------------


def _missing(name: str, root: Path, scenes: int, seed: int) -> list[SceneJob]:
    from jatlab.data.recording.scenes import FIRST_TEST_SEED

    wanted = (
        ("train", seed, scenes),
        ("test", FIRST_TEST_SEED + seed, max(1, round(scenes * TEST_SHARE))),
    )
    jobs = [
        SceneJob(name, split, start + first, min(SHARD, count - first), str(root / name / split / f"{first // SHARD:05d}.parquet"))
        for split, start, count in wanted for first in range(0, count, SHARD)
    ]  # fmt: skip
    return [job for job in jobs if _recorded(job) < job.count]


def _recorded(job: SceneJob) -> int:
    """How many scenes the shard's file holds: 0 if there is none. ValueError if they have other
    seeds.
    """
    if not Path(job.path).exists():
        return 0
    notes = read_notes(Path(job.path))
    if notes.get("first") != job.first:
        raise ValueError(
            f"{job.path} begins with seed {notes.get('first')}, now it would be {job.first}; record into another folder, or delete that one"
        )
    return notes["count"]


def _run(jobs: list[SceneJob], workers: int, progress: bool) -> None:
    with tqdm(
        total=sum(job.count for job in jobs),
        unit=" scenes",
        disable=not progress or not jobs,
        dynamic_ncols=True,
    ) as bar:
        for kind, job, value in run_jobs(record_scenes, jobs, workers):
            if kind == "progress":
                bar.set_description(job.task, refresh=False)
                bar.update(value)


def record_scenes(job: SceneJob, report: Callable[[int], None]) -> None:
    """Draw and write one shard (in a worker)."""
    from jatlab.data.recording.scenes import as_text, caption, draw_scene, questions

    rows: dict[str, list] = {"images": [], "text": []}
    for seed in range(job.first, job.first + job.count):
        scene = draw_scene(seed)
        ask = partial(questions, scene, np.random.default_rng([seed, 1]), PAIRS[job.split])
        rows["images"].append(scene.picture)
        rows["text"].append(caption(scene) if job.task == "minigrid-captions" else as_text(ask()))
        report(1)
    write_rows(
        job.path,
        rows,
        {"first": job.first, "count": job.count, "characters": sum(map(len, rows["text"]))},
    )


def _summarise_scenes(name: str, root: Path, seed: int) -> dict:
    import minigrid

    from jatlab.data.text import language_files

    summary = {
        "task": name,
        "unit": "pictures",
        "source": f"BabyAI levels drawn by MiniGrid {minigrid.__version__}",
        "seed": seed,
    }
    for split in ("train", "test"):
        notes = [read_notes(file) for file in language_files(root, name, split)]
        summary[split] = {
            "rows": sum(note["count"] for note in notes),
            "characters": sum(note["characters"] for note in notes),
        }
    write_json(root / name / "recording.json", summary)
    return summary


# --- files
# -------------------------------------------------------------------------------------------------------------------


def write_rows(path: str | Path, rows: dict[str, list], notes: dict | None = None) -> Path:
    """Write ``text`` and, if there are any, ``images`` (arrays (h, w, 3) uint8, or compressed
    bytes) as one Parquet file, whole or not at all.

    Raises OSError when the disk is full, saying so.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from jatlab.data.episodes import explain_full_disk

    columns = {"text": pa.array(rows["text"], pa.string())}
    if "images" in rows:
        entries = [
            {"bytes": image if isinstance(image, bytes) else to_png(image), "path": None}
            for image in rows["images"]
        ]
        columns = {
            "images": pa.array(entries, pa.struct({"bytes": pa.binary(), "path": pa.string()})),
            **columns,
        }
    metadata = {_NOTES: json.dumps(notes or {}, sort_keys=True).encode()} | (
        {b"huggingface": _IMAGES} if "images" in rows else {}
    )
    try:
        with atomic_write(path) as temporary:
            pq.write_table(
                pa.table(columns).replace_schema_metadata(metadata), temporary, compression="zstd"
            )
    except OSError as error:
        raise explain_full_disk(error, Path(path)) from error
    return Path(path)


def to_png(image: np.ndarray) -> bytes:
    """(h, w, 3) uint8 -> PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()


def read_notes(path: Path) -> dict:
    """What `write_rows` was given as notes; {} for a file from elsewhere."""
    import pyarrow.parquet as pq

    return json.loads((pq.read_schema(path).metadata or {}).get(_NOTES, b"{}"))
