"""Evaluating an agent on many tasks: `evaluate` plays them and returns plain results.

`playing.play_task` plays one task and `records.Records` keeps its record. `language` scores text
and pictures. `results.assemble` turns all of it into the results: a dict that JSON can hold,
without pictures or prose. `jatlab.viz.report` reads that dict.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym
from tqdm import tqdm

from jatlab.evaluation.playing import (
    FIRST_SEED,
    Episode,
    EpisodeVideo,
    EvaluatedAgent,
    PlaySettings,
    play_task,
)
from jatlab.evaluation.records import Record, Records, identity
from jatlab.evaluation.results import LanguageScores, Results, assemble
from jatlab.tasks import Task, expand, get_task, make_env, modules_of, task_scores
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import whole_number
from jatlab.utils.console import encodable, stopped
from jatlab.utils.files import expanded, only_writer
from jatlab.utils.machine import cores
from jatlab.utils.workers import run_jobs

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent

# Without OpenGL a frame takes a tenth of a second there, and little moves in one step.
VIDEO_STRIDES = {"metaworld": 3, "mujoco": 3}
# The relative cost of a step. The longest tasks go first, to keep all processes busy to the end.
STEP_COSTS = {"atari": 1.0, "babyai": 0.5, "metaworld": 1.0, "mujoco": 0.7}
OTHER_STEP_COST = 0.1
TYPICAL_LENGTH = 100  # steps of an episode, where the random policy's were not measured


def evaluate(
    agent: EvaluatedAgent,
    tasks: str | Iterable[str],
    episodes: int = 30,
    seed: int = FIRST_SEED,
    envs: int = 16,
    workers: int = 1,
    *,
    output: str | Path | None = None,
    greedy: bool = False,
    temperature: float | None = None,
    max_steps: int | None = None,
    videos: bool = False,
    on_task: Callable[[str, EpisodeVideo | None], None] = lambda task, video: None,
    make: Callable[[str], gym.Env] = make_env,
    data: str | Path = "data",
    command: str | None = None,
    progress: bool = True,
) -> Results:
    """Play seeded episodes of each task and return the results, ready for JSON.

    A task that fails (its environment is not installed, the simulation diverged, its process was
    killed) does not stop the others. Its error is in `results["failed"]`, and the next run into the
    same `output` plays it again.

    Args:
        agent: who plays; see `jatlab.evaluation.playing.EvaluatedAgent`.
        tasks: names, patterns or domains; "all" is all that can be played. Text and picture tasks
            are scored on their test split instead (see `jatlab.evaluation.language`).
        episodes: episodes of each task.
        seed: first seed; episode i has seed `seed + i`. At least `FIRST_SEED`, because
            demonstrations are recorded with smaller ones.
        envs: most environments of a task in lockstep; does not change the returns.
        workers: processes that share the tasks, the longest tasks first.
        output: folder that gets `tasks/NAME.json`, the record of each complete task. A task whose
            record is there is not played again.
        greedy: take the likeliest action instead of sampling.
        temperature: of the sampling of discrete actions; the agent's own if None.
        max_steps: end an episode after so many steps; the task's limit if None.
        videos: record the first episode of each task.
        on_task: called with each task that was played and its video (None without `videos`, or
            where the environment cannot be drawn), before its record is written.
        make: makes an environment from a task's name.
        data: folder whose test splits score text and picture tasks.
        command: how to repeat this evaluation, for the reader of the results; a call of this
            function if None.
        progress: show a progress bar.

    Returns:
        The results; `jatlab.evaluation.results.assemble` describes them.

    Raises:
        ValueError: an unknown task, a setting out of its range, or an `output` that holds records
            of another agent or other settings.
        BlockingIOError: another evaluation writes into `output`.
        Exception: the first error of a task, if nothing at all could be played or scored.
    """
    started = perf_counter()
    names = expand(tasks)
    if temperature is None:
        temperature = getattr(agent, "temperature", 1.0)
    settings = PlaySettings(episodes, seed, envs, greedy, temperature, max_steps)
    workers = whole_number(workers, "workers")
    if not names:
        raise ValueError(
            "no tasks to evaluate: name at least one, such as babyai-go-to-local, "
            "or a domain, such as metaworld"
        )
    folder = None if output is None else expanded(output) / "tasks"
    kept = Records(identity(agent), settings, folder)
    playable = [name for name in names if get_task(name).playable]
    player = _TaskPlayer(agent, settings, videos, make, workers, {n: get_task(n) for n in playable})
    unseen: dict[str, str] = {}
    with only_writer(*filter(None, [folder])):
        try:
            records, failed = _play_missing(player, kept, playable, on_task, unseen, progress)
        except KeyboardInterrupt:
            if folder is None:
                raise
            kept_tasks = len(kept.read(playable))
            raise stopped(f"{folder} has {kept_tasks} of {len(playable)} tasks") from None
    read = [name for name in names if name not in playable]
    language, errors = _score_language(agent, read, expanded(data))
    failed |= errors
    if failed and not records and not language:
        raise next(iter(failed.values()))
    about = {
        "agent": kept.agent,
        "settings": asdict(settings),
        "command": command or _call(names, settings),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": sum(record["seconds"] for record in records.values()),
        "wall_seconds": perf_counter() - started,
        "workers": workers,
        "failed": {name: _one_line(error) for name, error in failed.items()},
        "without_video": unseen,
        "language": language,
    }
    return assemble({name: records[name] for name in playable if name in records}, about)


def expected_cost(task: str) -> float:
    """How long episodes of a task take compared with other tasks, from the random policy's length.

    Tasks of unknown domains count as short.
    """
    random = task_scores(task).random
    length = (random and random.length) or TYPICAL_LENGTH
    return STEP_COSTS.get(get_task(task).domain, OTHER_STEP_COST) * length


@dataclass
class _Played:
    """What came of one task."""

    episodes: list[Episode]
    video: EpisodeVideo | None
    seconds: float


@dataclass
class _TaskPlayer:
    """What a process needs to play any task; it travels to each process once."""

    agent: EvaluatedAgent
    settings: PlaySettings
    videos: bool
    make: Callable[[str], gym.Env]
    workers: int
    tasks: dict[str, Task]  # a worker process may not know all of them by name
    modules: list[str] = field(default_factory=list)

    def __getstate__(self) -> dict[str, Any]:
        """Tell worker processes which modules register the tasks."""
        return vars(self) | {"modules": modules_of(self.tasks)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickled in a worker process: learn the tasks, and share the cores with the others.

        Raises ValueError for a task that no module registers.
        """
        vars(self).update(state)
        for module in self.modules:
            import_module(module)
        if self.make is make_env:
            for name in self.tasks:
                get_task(name)
        if getattr(self.agent, "model", None) is not None:
            import torch

            torch.set_num_threads(max(1, cores() // self.workers))

    def __call__(self, task: str, report: Callable[[float], None]) -> _Played | Exception:
        """Play one task, reporting each return. An error is returned: other tasks are waiting."""
        video, started, known = None, perf_counter(), self.tasks[task]
        if self.videos:
            video = EpisodeVideo(stride=VIDEO_STRIDES.get(known.domain, 1))

        def on_episode(episode: Episode) -> None:
            report(episode.total)

        try:
            limit = known.longest_episode
            how = (self.settings, video, on_episode, self.make, limit)
            episodes = play_task(self.agent, task, *how)
        except Exception as error:
            return error
        return _Played(episodes, video, perf_counter() - started)


def _play_missing(
    player: _TaskPlayer,
    kept: Records,
    tasks: list[str],
    on_task: Callable[[str, EpisodeVideo | None], None],
    unseen: dict[str, str],
    progress: bool,
) -> tuple[dict[str, Record], dict[str, Exception]]:
    """Play the tasks that have no record; return all records, and the errors of failed tasks.

    `unseen` gets the reason for each task that could not be drawn.
    """
    records = kept.read(tasks)
    failed: dict[str, Exception] = {}
    missing = [task for task in tasks if task not in records]
    episodes = player.settings.episodes
    with progress_bar(
        progress,
        total=episodes * len(tasks),
        initial=episodes * len(records),
        desc="evaluate",
        unit="episode",
    ) as bar:
        for task, played in _play_all(player, missing, bar):
            if isinstance(played, Exception):
                failed[task] = played
                bar.write(encodable(f"{task} failed: {_one_line(played)}"))
            else:
                video = played.video
                if video is not None and video.problem:
                    unseen[task], video = video.problem, None
                    bar.write(encodable(f"{task} has no video: {unseen[task]}"))
                on_task(task, video)
                records[task] = kept.add(task, played.episodes, played.seconds)
    return records, failed


def _play_all(
    player: _TaskPlayer, tasks: list[str], bar: tqdm
) -> Iterator[tuple[str, _Played | Exception]]:
    """(task, what came of it) of each task, in the order in which they finish."""

    def advance(task: str, total: float) -> None:
        bar.set_postfix_str(f"{task} {total:.3g}", refresh=False)
        bar.update()

    tasks = sorted(tasks, key=expected_cost, reverse=True)
    if player.workers <= 1 or len(tasks) <= 1:
        for task in tasks:
            yield task, player(task, partial(advance, task))
        return
    for kind, task, value in run_jobs(player, tasks, player.workers, keep_going=True):
        if kind == "progress":
            advance(task, value)
        else:
            yield task, value


def _score_language(
    agent: EvaluatedAgent, tasks: list[str], data: str | Path
) -> tuple[dict[str, LanguageScores], dict[str, Exception]]:
    """The scores of text and picture tasks, and the errors of those that failed."""
    scores: dict[str, LanguageScores] = {}
    failed: dict[str, Exception] = {}
    for task in tasks:
        try:
            scores |= _score_language_task(agent, task, data)
        except Exception as error:
            failed[task] = error
    return scores, failed


def _score_language_task(
    agent: EvaluatedAgent, task: str, data: str | Path
) -> dict[str, LanguageScores]:
    from jatlab.evaluation.language import language_scores  # needs torch

    if getattr(agent, "model", None) is None:
        raise ValueError(
            f"{type(agent).__name__} has no model, and {task} asks for the probabilities of tokens"
        )
    return language_scores(cast("Agent", agent), [task], data=data)


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def _call(names: list[str], settings: PlaySettings) -> str:
    """The call of `evaluate` that repeats this evaluation."""
    given = [
        f", {name}={value!r}"
        for name, value in asdict(settings).items()
        if value != getattr(PlaySettings, name)
    ]
    return f"jatlab.evaluate(agent, {names}{''.join(given)})"
