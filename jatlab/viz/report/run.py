"""An evaluation and its report in one call: play, then write what the results say."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jatlab.evaluation.evaluate import evaluate
from jatlab.evaluation.playing import EpisodeVideo, EvaluatedAgent
from jatlab.evaluation.results import Results
from jatlab.utils.console import say
from jatlab.utils.files import expanded, only_writer
from jatlab.viz.report.tables import summary
from jatlab.viz.report.videos import save_grid, save_task_video
from jatlab.viz.report.write import read_losses, write_report


def evaluate_and_report(
    agent: EvaluatedAgent,
    tasks: str | Iterable[str],
    output: str | Path,
    log: str | Path | None = None,
    videos: bool = True,
    **options: Any,
) -> Results:
    """Evaluate an agent, write the report into `output` and print the averages.

    Tasks that are complete in `output` are not played again.

    Args:
        agent: who plays.
        tasks: names, patterns or domains.
        output: folder of the records, the videos and the report.
        log: `log.jsonl` of the agent's training, or the folder that has it.
        videos: record and show the first episode of each task.
        **options: of `jatlab.evaluate`. `progress=False` also prints no averages.

    Returns:
        The results of `jatlab.evaluate`.

    Raises:
        FileNotFoundError: the log is not there.
        ValueError: as `jatlab.evaluate` raises it.
        BlockingIOError: another process writes into `output`.
    """
    output = expanded(output)
    folder = output / "videos"
    losses = read_losses(log)  # a missing log is an error now, not after an hour of play

    unseen: dict[str, str] = {}

    def keep(task: str, video: EpisodeVideo | None) -> None:
        if video is not None:
            with _noted(unseen, task):
                save_task_video(video, folder, task)

    with only_writer(output):
        results = evaluate(agent, tasks, output=output, videos=videos, on_task=keep, **options)
        if videos:
            with _noted(unseen, "all tasks together"):
                save_grid(results, folder)
        results["without_video"] |= unseen
        path = write_report(results, output, losses, folder)
    if options.get("progress", True):
        say(f"{summary(results)}\nreport: {path}")
    return results


@contextmanager
def _noted(problems: dict[str, str], name: str) -> Iterator[None]:
    """Note why a video could not be written, and go on: the scores of hours of play come first."""
    try:
        yield
    except Exception as error:
        problems[name] = f"{type(error).__name__}: {error}".splitlines()[0]
