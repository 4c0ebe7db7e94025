"""Writing a report from results: `report.html`, `README.md`, `report.json` and `figures/`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jatlab.evaluation.results import Results
from jatlab.utils.files import expanded, write_json, write_text
from jatlab.utils.manifest import seal
from jatlab.viz.report.charts import write_charts
from jatlab.viz.report.model_card import model_card
from jatlab.viz.report.page import page


def write_report(
    results: Results,
    folder: str | Path,
    log: str | Path | Sequence[dict[str, Any]] | None = None,
    videos: str | Path | None = None,
) -> Path:
    """Write a report and return the path of its page.

    Args:
        results: of `jatlab.evaluate`, or read from a `report.json`.
        folder: where `report.html`, `README.md` (a model card), `report.json` and `figures/` go.
        log: of the agent's training: a `log.jsonl`, its folder, or its lines.
        videos: folder that `save_task_video` wrote to.

    Raises:
        ValueError: the results hold no task.
        FileNotFoundError: the log is not there.
    """
    if not results.get("tasks") and not results.get("language"):
        raise ValueError(
            "there is nothing to report: the results hold no task. "
            "Evaluate some first: jatlab evaluate AGENT --tasks babyai metaworld"
        )
    folder, lines = expanded(folder), read_losses(log)
    write_json(folder / "report.json", results)
    write_text(folder / "README.md", model_card(results))
    write_charts(results, lines, folder / "figures")
    html = page(results, lines, None if videos is None else Path(videos))
    path = write_text(folder / "report.html", html)
    drawn = [file.relative_to(folder).as_posix() for file in sorted(folder.glob("figures/*"))]
    seal(folder, ["report.json", path.name, *drawn])
    return path


def read_losses(log: str | Path | Sequence[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The lines of a training log that hold losses.

    Args:
        log: a `log.jsonl`, its folder, its lines, or None.

    Raises:
        FileNotFoundError: there is no `log.jsonl`.
    """
    if log is None:
        return []
    if isinstance(log, (str, Path)):
        from jatlab.training.log import read_log  # needs torch

        path = expanded(log)
        path = path.parent if path.suffix == ".jsonl" else path
        if not (path / "log.jsonl").exists():
            raise FileNotFoundError(
                f"no log.jsonl in {path}: give the folder that `jatlab train` wrote to, "
                "or leave the log out"
            )
        log = read_log(path)
    return [line for line in log if line.get("loss")]
