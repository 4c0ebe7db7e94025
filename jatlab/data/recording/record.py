"""Recording demonstrations: teachers play, and their episodes go to disk.

    <root>/<task>/train/00000.parquet, 00001.parquet …   up to 50 episodes each
    <root>/<task>/recording.json                         teacher, seeds, returns, failures, versions
    <root>/README.md                                     the data set card, of all tasks

The content of each file depends on its number only (see `jatlab.data.recording.shards`). So any
number of workers makes the same files, those that exist are kept after a kill, and asking for more
episodes later adds to them. Ctrl-C also keeps the finished episodes of unfinished files. What there
is to know about a file is in its notes; ``recording.json`` is a summary of all of them. Where their
settings differ, as in your own play beside a teacher's, it names every teacher and the largest
noise, and `origins` has an entry for each of the settings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from jatlab.data.card import complete_folder, recorded_tasks
from jatlab.data.columns import column_names
from jatlab.data.episodes import episode_files
from jatlab.data.parquet import Notes, read_notes
from jatlab.data.recording.language import record_language
from jatlab.data.recording.shards import (
    SPARE_SEEDS,
    RecordSettings,
    ShardJob,
    dismiss_player,
    missing_shards,
    record_shard,
)
from jatlab.tasks import expand, get_task
from jatlab.teachers import HUMAN, require_teacher
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import require, shortened, whole_number
from jatlab.utils.console import percent, say, stopped
from jatlab.utils.files import (
    expanded,
    only_writer,
    remove_leftovers,
    write_json,
)
from jatlab.utils.manifest import forget
from jatlab.utils.workers import run_jobs

Summary = dict[str, Any]  # what recording.json says about a task
ANSWERS = "the teacher's answers; what was executed had noise added"
PARTLY = "where noise was added, the teacher's answers; elsewhere as executed"


def record(
    tasks: str | Iterable[str],
    root: str | Path,
    episodes: int | Mapping[str, int],
    workers: int = 2,
    seed: int = 0,
    timeout: float = 60.0,
    teacher: str = "teacher",
    noise: float = 0.0,
    progress: bool = True,
) -> dict[str, Summary]:
    """Record episodes of every task into ``root``; for text and pictures, documents and scenes.

    What is already there is kept: the same call after a kill makes the missing files only, and a
    call for more episodes adds to them.

    Args:
        tasks: names, patterns or domains, as `jatlab.tasks.expand` takes them.
        root: the folder of the data.
        episodes: how many of every task, or of each by name. Tasks of pictures have so many
            pictures, see `jatlab.data.recording.language`.
        workers: processes. 0 records in this one, as tasks and teachers that a notebook defines
            need it. The workers are spawned, so a script needs ``if __name__ == "__main__":``.
        seed: of the first episode.
        timeout: seconds of an episode, times the teacher's ``slowness``: a searching teacher has a
            hundred times as many. An episode that takes longer is dropped.
        teacher: "teacher", "random", for Atari also "search", or "human": you, at the terminal of
            this process, one task after the other.
        noise: above 0, what is *executed* is disturbed, so that the data also shows how to recover
            from mistakes; the recorded actions are then the teacher's answers. Each episode draws
            its level from 0 to ``noise``, see `jatlab.data.recording.playing.Disturbance`.
        progress: show a bar, and print a line for each task.

    Returns:
        What each task's ``recording.json`` says.

    Raises:
        ValueError: for an unknown task, none at all, one without a teacher or a number of
            episodes, bad numbers, a teacher that fails on most seeds, and a folder recorded with
            other settings.
        BlockingIOError: another process records one of the tasks into ``root``.
        OSError: when the disk is full.
    """
    root, named = expanded(root), expand(tasks)
    seed = whole_number(seed, "seed")
    settings = RecordSettings(seed, teacher, float(noise), float(timeout))
    require(named, "tasks names no task: expected at least one; `jatlab tasks` lists them")
    counts = episode_counts(named, episodes)
    names = [name for name in named if get_task(name).playable]
    workers = 0 if teacher == HUMAN else workers  # there is one keyboard
    _check_settings(names, [counts[name] for name in named], settings)
    with only_writer(*(root / name for name in named)):
        try:
            summaries = _record_language(named, root, counts, workers, seed, progress)
            if names:
                summaries |= _record_episodes(names, root, counts, settings, workers, progress)
        except KeyboardInterrupt:
            complete_folder(root, named)
            raise stopped(_what_is_kept(named, root, counts)) from None
        complete_folder(root, named)
    return summaries


def episode_counts(names: Sequence[str], episodes: int | Mapping[str, int]) -> dict[str, int]:
    """How many episodes of each task. Raises ValueError for a task without a number."""
    wanted = episodes if isinstance(episodes, Mapping) else dict.fromkeys(names, episodes)
    missing = [name for name in names if name not in wanted]
    require(
        not missing,
        f"episodes is {shortened(dict(wanted))}, without {shortened(missing)}: expected a number "
        "for every task, or one number for all",
    )
    return {name: whole_number(wanted[name], "episodes", None) for name in names}


def _what_is_kept(names: list[str], root: Path, counts: Mapping[str, int]) -> str:
    """What a stop has left on the disk, in words."""
    kept = {task.name: task.rows.get("train", 0) for task in recorded_tasks(root)}
    if not any(name in kept for name in names):
        return f"{root} has nothing of it"
    wanted = {name: f" of {counts[name]:,}" if get_task(name).playable else "" for name in names}
    told = [f"{kept.get(name, 0):,}{wanted[name]} {_unit(name)} of {name}" for name in names]
    return f"{root} has {', '.join(told)}"


def _unit(name: str) -> str:
    return "episodes" if get_task(name).playable else "rows"


def _check_settings(names: list[str], episodes: list[int], settings: RecordSettings) -> None:
    fewest, most = min(episodes), max(episodes)
    require(fewest >= 1, f"episodes must be at least 1, got {fewest}")
    require(
        settings.seed >= 0 and settings.seed + most <= SPARE_SEEDS,
        f"recording uses seeds 0 to {SPARE_SEEDS - 1:,}: "
        f"seed {settings.seed} with {most} episodes leaves that range",
    )
    noise, timeout = settings.noise, settings.timeout
    require(0 <= noise <= 1, f"noise is a number from 0 to 1, got {noise}")
    require(timeout > 0, f"timeout is a number of seconds above 0, got {timeout}")
    for name in names:  # now rather than after an hour of recording the others
        require_teacher(name, settings.teacher)


def _record_language(
    names: list[str],
    root: Path,
    counts: Mapping[str, int],
    workers: int,
    seed: int,
    progress: bool,
) -> dict[str, Summary]:
    summaries: dict[str, Summary] = {}
    for name in names:
        if not get_task(name).playable:
            summaries |= record_language([name], root, counts[name], workers, seed, progress)
    return summaries


def _record_episodes(
    names: list[str],
    root: Path,
    counts: Mapping[str, int],
    settings: RecordSettings,
    workers: int,
    progress: bool,
) -> dict[str, Summary]:
    jobs = [job for name in names for job in missing_shards(name, root, counts[name], settings)]
    forget(Path(job.path) for job in jobs)
    try:
        _run(jobs, workers, progress and settings.teacher != HUMAN)
    except BaseException:
        with suppress(OSError):  # the summary may not fit on a full disk: the problem comes first
            finish(names, root)
        raise
    summaries = finish(names, root)
    if progress:
        say("\n".join(report_line(summary) for summary in summaries.values()))
    return summaries


# --- playing ---


def _run(jobs: list[ShardJob], workers: int, progress: bool) -> None:
    try:
        _play_jobs(jobs, workers, progress)
    finally:
        # Without workers, this process has played: a notebook may have defined its task anew by
        # the next recording.
        dismiss_player()


def _play_jobs(jobs: list[ShardJob], workers: int, progress: bool) -> None:
    steps = dropped = 0
    with progress_bar(
        progress and bool(jobs),
        total=sum(job.count - job.done for job in jobs),
        unit=" episodes",
        smoothing=0.05,
    ) as bar:
        for kind, job, value in run_jobs(record_shard, jobs, workers):
            if kind != "progress":
                continue
            if isinstance(value, str):
                bar.set_postfix_str(f"{job.task}, {value}")
                continue
            steps, dropped = steps + value, dropped + (value == 0)
            bar.set_description(job.task, refresh=False)
            rate = steps / max(bar.format_dict["elapsed"], 1e-9)
            failed = f", {dropped} dropped" if dropped else ""
            bar.set_postfix_str(f"{rate:,.0f} steps/s{failed}", refresh=False)
            bar.update(value > 0)


# --- the summary ---


def report_line(summary: Summary) -> str:
    """A recording in one line: how much, how good, what was dropped and why."""
    reasons = Counter(failure["reason"] for failure in summary["failures"])
    dropped = "".join(f", {count} dropped ({reason})" for reason, count in reasons.items())
    rate = summary["success_rate"]
    success = "" if rate is None else f", success {percent(rate)}"
    return (
        f"{summary['task']}: {summary['episodes']} episodes, {summary['timesteps']:,} timesteps, "
        f"return {summary['mean_return']:.4g} ± {summary['std_return']:.2g}{success}{dropped}"
    )


def finish(names: list[str], root: Path) -> dict[str, Summary]:
    """Remove what killed workers left, and write the summary of every task that has files."""
    summaries = {}
    for name in names:
        remove_leftovers(root / name / "train")
        notes = _recorded_notes(root / name / "train")
        if notes:
            summaries[name] = _summarise(name, notes)
            path = root / name / "recording.json"
            forget([path])
            write_json(path, summaries[name])
    return summaries


def _recorded_notes(folder: Path) -> list[Notes]:
    """The notes of each file of demonstrations; relabelled files have notes of another kind."""
    try:
        notes = [read_notes(file) for file in episode_files(folder)]
    except FileNotFoundError:
        return []
    return [note for note in notes if "episodes" in note]


def _summarise(name: str, notes: list[Notes]) -> Summary:
    outcomes = [episode for note in notes for episode in note["episodes"]]
    returns = np.array([outcome["return"] for outcome in outcomes])
    successes = [outcome["success"] for outcome in outcomes if outcome["success"] is not None]
    return {
        "task": name,
        **_settings_of(notes),
        "columns": list(column_names(get_task(name))),
        "episodes": len(outcomes),
        "timesteps": sum(outcome["length"] for outcome in outcomes),
        "mean_return": float(returns.mean()),
        "std_return": float(returns.std()),
        "success_rate": float(np.mean(successes)) if successes else None,
        "failures": [failure for note in notes for failure in note["failures"]],
        "versions": _versions_of(notes),
        "seeds": [outcome["seed"] for outcome in outcomes],
        "returns": returns.tolist(),
    }


def _settings_of(notes: list[Notes]) -> Summary:
    """Who played these files, from which seed on and with what noise."""
    origins = _origins(notes)
    noisy = [one["noise"] > 0 for one in origins]
    executed = PARTLY if any(noisy) else "as executed"
    facts = {
        "teacher": _joined(one["teacher"] for one in origins),
        "policy": _joined(one["policy"] for one in origins),
        "seed": notes[0]["seed"],
        "noise": max(one["noise"] for one in origins),
        "actions": ANSWERS if all(noisy) else executed,
    }
    return facts | ({"origins": origins} if len(origins) > 1 else {})


def _origins(notes: list[Notes]) -> list[Summary]:
    """Each of the settings with which some files were played, and how many episodes have it.

    Their seed is that of the first file.
    """
    found: dict[tuple[str, str, float], Summary] = {}
    for note in notes:
        facts = {key: note[key] for key in ("teacher", "policy", "seed", "noise")}
        key = note["teacher"], note["policy"], note["noise"]
        found.setdefault(key, facts | {"episodes": 0})["episodes"] += len(note["episodes"])
    return list(found.values())


def _versions_of(notes: list[Notes]) -> dict[str, str]:
    """The versions of each package that played some of the files."""
    names = dict.fromkeys(name for note in notes for name in note["versions"])
    return {name: _joined(note["versions"].get(name) for note in notes) for name in names}


def _joined(texts: Iterable[str | None]) -> str:
    """Each of the texts once, in one."""
    return "; ".join(dict.fromkeys(text for text in texts if text))
