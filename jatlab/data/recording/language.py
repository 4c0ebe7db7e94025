"""Recording texts and pictures: CPython's documents, captions of scenes, questions about them.

    <root>/<task>/train/00000.parquet …   column ``text``; pictures also have ``images`` (the Image
                                          feature of the datasets library): the published columns
    <root>/<task>/test/00000.parquet …    other documents and scenes, which training never has
    <root>/<task>/recording.json          what was recorded, and from what

Scene i of training has seed ``seed + i``, scene i of testing 1,000,000 + ``seed`` + i. A file
depends on its seeds only. So any number of workers makes the same files, and those that exist are
kept.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from platform import python_version
from typing import Any

import numpy as np

from jatlab.data.language.rows import RECORDED, how_to_get, language_files
from jatlab.data.parquet import Notes, read_notes, write_table
from jatlab.data.recording.corpus import documents, split_documents
from jatlab.data.recording.scenes import FIRST_TEST_SEED, as_text, caption, draw_scene, questions
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import require
from jatlab.utils.console import say
from jatlab.utils.files import write_json
from jatlab.utils.manifest import forget
from jatlab.utils.workers import run_jobs

Summary = dict[str, Any]  # what recording.json says about a task

SHARD = 500  # scenes of a file
TEST_SHARE = 0.1  # scenes of testing for one of training
PAIRS = {"train": 3, "test": 1}  # questions about one scene
LAST_TRAIN_SEED = 99_999
_FEATURES = {"images": {"_type": "Image"}, "text": {"dtype": "string", "_type": "Value"}}


@dataclass(frozen=True)
class SceneJob:
    """One file to make: ``count`` scenes from seed ``first`` on."""

    task: str
    split: str
    first: int
    count: int
    path: str


def record_language(
    names: list[str],
    root: Path,
    scenes: int,
    workers: int = 2,
    seed: int = 0,
    progress: bool = True,
) -> dict[str, Summary]:
    """Record tasks of text and pictures, for training and testing.

    Args:
        names: some of `jatlab.data.language.rows.RECORDED`.
        root: the folder of the data.
        scenes: scenes of training for each task of pictures; a tenth of that is recorded for
            testing. Documents are always all recorded.
        workers: processes that draw scenes; 0 draws in this one.
        seed: of the first scene.
        progress: show a bar, and print a line for each task.

    Returns:
        What each task's ``recording.json`` says.

    Raises:
        ValueError: for a task that is published rather than recorded, and seeds out of range.
        OSError: when the disk is full.
        ImportError: without MiniGrid.
    """
    for name in names:
        require(
            name in RECORDED,
            f"{name} cannot be recorded: {how_to_get(name)}; recordable are {', '.join(RECORDED)}",
        )
    require(
        scenes >= 1 and seed >= 0 and seed + scenes <= LAST_TRAIN_SEED + 1,
        f"scenes of training have seeds 0 to {LAST_TRAIN_SEED:,}: "
        f"{scenes} from seed {seed} do not fit",
    )
    pictures = [name for name in names if name != "python-docs"]
    summaries = {name: _record_documents(root) for name in names if name not in pictures}
    jobs = [job for name in pictures for job in _missing(name, root, scenes, seed)]
    _run(jobs, workers, progress)
    summaries |= {name: _summarise_scenes(name, root, seed) for name in pictures}
    if progress:
        say("\n".join(report_line(summaries[name]) for name in names))
    return {name: summaries[name] for name in names}


def report_line(summary: Summary) -> str:
    """A recording in one line."""
    train, test, unit = summary["train"], summary["test"], summary["unit"]
    return (
        f"{summary['task']}: {train['rows']:,} {unit} to learn from, "
        f"{test['rows']:,} {unit} to test with; "
        f"{train['characters']:,} and {test['characters']:,} characters"
    )


# --- documents ---


def _record_documents(root: Path) -> Summary:
    origin = f"pydoc_data.topics and docstrings of the standard library, CPython {python_version()}"
    summary: Summary = {"task": "python-docs", "unit": "documents", "source": origin}
    for split, texts in zip(("train", "test"), split_documents(documents()), strict=True):
        write_rows(root / "python-docs" / split / "00000.parquet", {"text": texts})
        summary[split] = {"rows": len(texts), "characters": sum(map(len, texts))}
    _write_summary(root / "python-docs", summary)
    return summary


# --- scenes ---


def _missing(name: str, root: Path, scenes: int, seed: int) -> list[SceneJob]:
    """The files of a task that are not there, or have fewer scenes."""
    wanted = (
        ("train", seed, scenes),
        ("test", FIRST_TEST_SEED + seed, max(1, round(scenes * TEST_SHARE))),
    )
    jobs = []
    for split, start, total in wanted:
        for index, first in enumerate(range(0, total, SHARD)):
            path = root / name / split / f"{index:05d}.parquet"
            count = min(SHARD, total - first)
            job = SceneJob(name, split, start + first, count, str(path))
            if _recorded(job) < count:
                jobs.append(job)
    return jobs


def _recorded(job: SceneJob) -> int:
    """How many scenes the file has: 0 if there is none. ValueError if they have other seeds."""
    if not Path(job.path).exists():
        return 0
    notes = read_notes(job.path)
    require(
        notes.get("first") == job.first,
        f"{job.path} begins with seed {notes.get('first')}, now it would be {job.first}; "
        "record into another folder, or delete that one",
    )
    return notes["count"]


def _run(jobs: list[SceneJob], workers: int, progress: bool) -> None:
    total, show = sum(job.count for job in jobs), progress and bool(jobs)
    forget(Path(job.path) for job in jobs)
    with progress_bar(show, total=total, unit=" scenes") as bar:
        for kind, job, value in run_jobs(record_scenes, jobs, workers):
            if kind == "progress":
                bar.set_description(job.task, refresh=False)
                bar.update(value)


def record_scenes(job: SceneJob, report: Callable[[int], None]) -> None:
    """Draw and write one file, in a worker; ``report`` gets 1 for each scene."""
    rows: dict[str, list] = {"images": [], "text": []}
    for seed in range(job.first, job.first + job.count):
        scene = draw_scene(seed)
        ask = partial(questions, scene, np.random.default_rng([seed, 1]), PAIRS[job.split])
        rows["images"].append(scene.picture)
        rows["text"].append(caption(scene) if job.task == "minigrid-captions" else as_text(ask()))
        report(1)
    characters = sum(map(len, rows["text"]))
    notes = {"first": job.first, "count": job.count, "characters": characters}
    write_rows(job.path, rows, notes)


def _summarise_scenes(name: str, root: Path, seed: int) -> Summary:
    import minigrid

    origin = f"BabyAI levels drawn by MiniGrid {minigrid.__version__}"
    summary: Summary = {"task": name, "unit": "pictures", "source": origin, "seed": seed}
    for split in ("train", "test"):
        notes = [read_notes(file) for file in language_files(root, name, split)]
        summary[split] = {
            "rows": sum(note["count"] for note in notes),
            "characters": sum(note["characters"] for note in notes),
        }
    _write_summary(root / name, summary)
    return summary


def _write_summary(folder: Path, summary: Summary) -> None:
    forget([folder / "recording.json"])
    write_json(folder / "recording.json", summary)


# --- files ---


def write_rows(path: str | Path, rows: dict[str, list], notes: Notes | None = None) -> Path:
    """Write texts, and pictures if there are any, to one Parquet file, atomically.

    Args:
        path: the file; missing folders are made.
        rows: ``text``, and possibly ``images``: arrays (h, w, 3) uint8, or compressed bytes.
        notes: JSON that travels in the file's metadata.

    Raises:
        OSError: when the disk is full; nothing is left behind then.
    """
    import pyarrow as pa

    texts = pa.array(rows["text"], pa.string())
    if "images" not in rows:
        return write_table(path, pa.table({"text": texts}), notes)
    entries = [
        {"bytes": image if isinstance(image, bytes) else to_png(image), "path": None}
        for image in rows["images"]
    ]
    images = pa.array(entries, pa.struct({"bytes": pa.binary(), "path": pa.string()}))
    return write_table(path, pa.table({"images": images, "text": texts}), notes, _FEATURES)


def to_png(image: np.ndarray) -> bytes:
    """A picture (h, w, 3) uint8 -> PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "PNG", compress_level=6)
    return buffer.getvalue()
