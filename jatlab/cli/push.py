"""`jatlab push`: agents and recordings to the Hugging Face hub."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from jatlab.cli.needs import DATA, need
from jatlab.cli.options import AGENT, Commands, add_dtype

MANIFEST = "manifest.json"
RESULTS = ("README.md", "report.json")  # what an evaluation writes for the agent's page


def add_push(commands: Commands) -> None:
    """Add `push`."""
    parser = commands.add(
        "push", push, "send an agent, or a folder of recordings, to the Hugging Face hub"
    )
    add = parser.add_argument
    add("agent", metavar="AGENT|FOLDER", help=f"{AGENT}; or a folder that `jatlab record` wrote")
    add("repository", metavar="OWNER/NAME", help="where it goes; made if need be")
    add("--dry-run", action="store_true", help="list what would go, and send nothing")
    add("--private", action="store_true", help="a repository made now is seen by its owner only")
    add("--report", help="folder of the agent's evaluation, whose card and scores go along")
    add_dtype(parser, stored=True)


def push(
    agent: str,
    repository: str,
    dry_run: bool,
    private: bool,
    report: str | None,
    dtype: str | None,
) -> None:
    """Send an agent or recordings to the hub, or list what would go.

    Args:
        agent: an agent, as `AGENT` describes, or a folder of recordings.
        repository: OWNER/NAME.
        dry_run: list what would go, and send nothing.
        private: whether only its owner sees a repository that is made now.
        report: folder of the agent's evaluation.
        dtype: how the agent's weights are stored.
    """
    from jatlab.utils.upload import listing, page, upload

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(agent)
        if kind_of(folder) == "dataset":
            files, kind = recording_files(folder), "dataset"
        else:
            folder, kind = write_agent(agent, Path(temporary), report, dtype), "model"
            files = sorted(file.name for file in folder.iterdir())
        address = page(repository, kind)
        print(listing(folder, files))
        if dry_run:
            print(f"nothing was sent; without --dry-run this goes to {address}")
        else:
            print(f"sent: {upload(folder, files, repository, kind, private)}")


def kind_of(folder: Path) -> str:
    """What is in a folder: "dataset" for recordings, else "model"."""
    is_agent = (folder / "config.json").is_file()
    recorded = any(folder.glob("*/train/*.parquet")) or any(folder.glob("*/test/*.parquet"))
    return "dataset" if recorded and not is_agent else "model"


def recording_files(folder: Path) -> list[str]:
    """The files of a recording folder that others need: no flat copies, nothing temporary."""
    from jatlab.data.card import complete_folder

    need("jatlab push", *DATA)
    complete_folder(folder)  # as it is now; a card of the user's own stays
    patterns = (
        "README.md",
        "*/recording.json",
        f"*/{MANIFEST}",
        "*/train/*.parquet",
        "*/test/*.parquet",
    )
    found = [file for pattern in patterns for file in folder.glob(pattern)]
    return [
        file.relative_to(folder).as_posix()
        for file in sorted(found)
        if not any(part.startswith(".") for part in file.relative_to(folder).parts)
    ]


def write_agent(name: str, folder: Path, report: str | None, dtype: str | None) -> Path:
    """Write an agent as it is sent, with the scores of its evaluation where there are some."""
    import torch

    from jatlab.agents.agent import Agent
    from jatlab.agents.checkpoints import SHIPPED, shipped_agents
    from jatlab.cli.options import load

    agent = load(name)
    if not isinstance(agent, Agent):
        raise ValueError(f"{name} is no agent that can be sent: it has no weights")
    agent.save_pretrained(folder, getattr(torch, dtype) if dtype else None)
    source = SHIPPED / name if name in shipped_agents() else Path(name)
    source = Path(report) if report else source
    if report and not all((source / file).is_file() for file in RESULTS):
        raise ValueError(f"{report} has no {' and '.join(RESULTS)}: did jatlab evaluate write it?")
    for file in RESULTS:
        if (source / file).is_file():
            shutil.copy(source / file, folder / file)
    return folder
