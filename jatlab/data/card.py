"""What completes a recording folder: a manifest of each task's files, and the data set card.

The card is README.md, as the Hugging Face hub reads it.

Each task has an entry under `configs:`, so the datasets library loads one task by its name, from
the folder or from the hub::

    datasets.load_dataset("data", "metaworld-reach", split="train", streaming=True)

A card is written anew whenever something is recorded or fetched. One that lacks `MARK` is the
user's, and stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jatlab.data.parquet import read_notes, read_parquet
from jatlab.utils.console import percent
from jatlab.utils.files import read_json, write_text
from jatlab.utils.manifest import read_manifest, seal

if TYPE_CHECKING:
    import pyarrow as pa

SPLITS = ("train", "test")
MARK = "<!-- written by jatlab; remove this line to keep your own changes -->"
LICENCE = """\
jatlab sets no licence for what you record. Choose one before you publish the data, and name it in
the front matter (`license: cc-by-4.0`). Frames of Atari games show copyrighted games. The task
`python-docs` is CPython's documentation, under the Python Software Foundation License 2."""


@dataclass(frozen=True)
class RecordedTask:
    """A task's files, and what `recording.json` says about them; {} where there is none."""

    name: str
    rows: dict[str, int]  # by split
    columns: dict[str, str]  # types by name
    facts: dict[str, Any]  # of the train split


def complete_folder(root: str | Path, names: Iterable[str] | None = None) -> None:
    """List every new file in its task's manifest, and write the card.

    Args:
        root: the folder, with ``<task>/<split>/*.parquet``.
        names: of the tasks whose files are complete; None: all. Another process may write others.

    Raises:
        ValueError: for a Parquet file or a manifest that is damaged.
        OSError: when the disk is full.
    """
    root = Path(root)
    recorded = [task.name for task in recorded_tasks(root)]
    for name in recorded if names is None else set(names).intersection(recorded):
        _seal(root / name)
    write_card(root)


def _seal(folder: Path) -> None:
    """List the files of a task that its manifest does not list yet."""
    files = [file for split in SPLITS for file in _files(folder / split)]
    names = [file.relative_to(folder).as_posix() for file in [*files, folder / "recording.json"]]
    listed = read_manifest(folder)
    new = [name for name in names if name not in listed and (folder / name).is_file()]
    seal(folder, new)


def write_card(root: str | Path) -> Path | None:
    """Write README.md for all tasks in a recording folder.

    Args:
        root: the folder, with ``<task>/<split>/*.parquet``.

    Returns:
        The card; None if there is no task, or the card there was not written by jatlab.

    Raises:
        ValueError: for a Parquet file that is damaged.
        OSError: when the disk is full.
    """
    root = Path(root)
    path, tasks = root / "README.md", recorded_tasks(root)
    if not tasks or (path.exists() and MARK not in path.read_text(encoding="utf-8")):
        return None
    return write_text(path, card(tasks))


def recorded_tasks(root: Path) -> list[RecordedTask]:
    """Every task in a folder, by name. Raises ValueError for a damaged file."""
    found = []
    for folder in sorted(one for one in root.iterdir() if one.is_dir()) if root.is_dir() else []:
        files = {split: _files(folder / split) for split in SPLITS}
        present = {split: paths for split, paths in files.items() if paths}
        if present:
            rows = {split: sum(map(_rows, paths)) for split, paths in present.items()}
            columns = read_parquet(next(iter(present.values()))[0], _columns)
            found.append(RecordedTask(folder.name, rows, columns, _facts(folder, files)))
    return found


def _files(folder: Path) -> list[Path]:
    return sorted(file for file in folder.glob("*.parquet") if not file.name.startswith("."))


def _rows(path: Path) -> int:
    return read_parquet(path, lambda file: file.metadata.num_rows)


def _columns(file: Any) -> dict[str, str]:
    return {field.name: _type_name(field.type) for field in file.schema_arrow}


def _type_name(kind: pa.DataType) -> str:
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return f"list of {_type_name(kind.value_type)}"
    return "PNG picture" if pa.types.is_struct(kind) else str(kind)


def _facts(folder: Path, files: dict[str, list[Path]]) -> dict[str, Any]:
    """What `recording.json` says; of fetched data, what the last file's notes say."""
    path = folder / "recording.json"
    if path.is_file():
        return read_json(path)
    newest = (files["train"] or files["test"])[-1]
    fetched = read_notes(newest).get("fetched")
    if not fetched:
        return {}
    facts = {"source": f"fetched from {fetched['source']}, which says its licence"}
    return facts | ({"timesteps": fetched["timesteps"]} if files["train"] else {})


# --- the text ---


def card(tasks: list[RecordedTask]) -> str:
    """The card of these tasks, in Markdown with YAML front matter."""
    first = tasks[0].name
    size = f"{len(tasks)} task{'s' * (len(tasks) != 1)}"
    parts = [
        _front_matter(tasks),
        MARK,
        "# Recordings for a generalist agent",
        f"{size}, recorded or fetched with [jatlab](https://github.com/jatlab/jatlab). A row is "
        "one episode, one document or one picture. The columns are those of the published data set "
        "[jat-project/jat-dataset](https://huggingface.co/datasets/jat-project/jat-dataset).",
        "```python\nfrom datasets import load_dataset\n\n"
        f'episodes = load_dataset("FOLDER or OWNER/NAME", "{first}", split="{_split(tasks[0])}")\n'
        "```",
        "## Tasks",
        _table(tasks),
        "Returns are of the demonstrations: mean ± standard deviation over the episodes. Episodes "
        "in files called `relabelled-*.parquet` were played by an agent, and their actions are a "
        "teacher's (DAgger); they count as rows only.",
        *_details(tasks),
        "## Licence",
        LICENCE,
    ]
    return "\n\n".join(parts) + "\n"


def _split(task: RecordedTask) -> str:
    return next(iter(task.rows))


def _front_matter(tasks: list[RecordedTask]) -> str:
    lines = ["---", "pretty_name: Recordings for a generalist agent"]
    lines += ["task_categories:", "- reinforcement-learning", "tags:", "- jatlab", "configs:"]
    for task in tasks:
        lines += [f"- config_name: {task.name}", "  data_files:"]
        for split in task.rows:
            lines += [f"  - split: {split}", f"    path: {task.name}/{split}/*.parquet"]
    return "\n".join([*lines, "---"])


def _table(tasks: list[RecordedTask]) -> str:
    head = ("task", "train", "test", "timesteps", "return", "success", "seeds")
    rows = [head, ("---", *["---:"] * (len(head) - 1)), *map(_row, tasks)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _row(task: RecordedTask) -> tuple[str, ...]:
    facts, seeds = task.facts, task.facts.get("seeds") or []
    rate = facts.get("success_rate")
    returns = "-"
    if "mean_return" in facts:
        returns = f"{facts['mean_return']:.4g} ± {facts['std_return']:.2g}"
    return (
        task.name,
        *(f"{task.rows[split]:,}" if split in task.rows else "-" for split in SPLITS),
        f"{facts['timesteps']:,}" if "timesteps" in facts else "-",
        returns,
        "-" if rate is None else percent(rate),
        f"{min(seeds)} to {max(seeds)}" if seeds else "-",
    )


def _details(tasks: list[RecordedTask]) -> list[str]:
    """Columns, origins and versions: a section each, a line a task."""
    columns = {task.name: _listed(task.columns, ": ") for task in tasks}
    origins = {task.name: _origin(task.facts) for task in tasks}
    versions = {task.name: _listed(task.facts.get("versions", {}), " ") for task in tasks}
    sections = {"Features": columns, "Origin": origins, "Versions": versions}
    return [
        f"## {title}\n\n" + "\n".join(f"- `{name}`: {text}" for name, text in lines.items() if text)
        for title, lines in sections.items()
        if any(lines.values())
    ]


def _listed(facts: dict[str, str], between: str) -> str:
    return ", ".join(f"{name}{between}{value}" for name, value in facts.items())


def _origin(facts: dict[str, Any]) -> str:
    """Who played, or what was read."""
    if "policy" not in facts:
        return facts.get("source", "")
    return "; ".join(
        f"{one['teacher']} ({one['policy']}), noise {one['noise']:g}"
        for one in facts.get("origins", [facts])
    )
