"""Playing seeded episodes and keeping their returns: `evaluate` is the door, `play_task` the work.

Several environments of one task run in lockstep, so that the agent answers all of them with one
forward pass. An environment whose episode ends starts the next seed; when no seed is left it waits,
and what the agent says to it is dropped. Each task's record is written as soon as it is complete,
so an evaluation that was stopped goes on where it was. `jatlab.evaluation.results` turns the
records into results.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm.auto import tqdm

from jatlab.evaluation.results import assemble, read_record
from jatlab.tasks import expand, get_task, make_env, task_scores
from jatlab.utils.files import write_json
from jatlab.utils.machine import cores
from jatlab.utils.workers import run_jobs

FIRST_SEED = 1_000_000  # smaller ones are for recording demonstrations
VIDEO_FRAMES = 48
VIDEO_STRIDES = {
    "metaworld": 3,
    "mujoco": 3,
}  # a frame there takes a tenth of a second without OpenGL, and little moves in a step
STEP_SECONDS = {
    "atari": 1.0,
    "babyai": 0.5,
    "metaworld": 1.0,
    "mujoco": 0.7,
}  # relative: longest tasks first keeps all processes busy to the end


@dataclass(frozen=True)
class PlaySettings:
    """What decides the returns, beside agent and task; `envs` does not. Raises `ValueError` for a
    setting that cannot be.
    """

    episodes: int = 30
    seed: int = FIRST_SEED
    envs: int = 16
    greedy: bool = False
    temperature: float = 1.0
    max_steps: int | None = None

    def __post_init__(self):
        for name in ("episodes", "envs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: expected at least 1")
        if self.seed < FIRST_SEED:
            raise ValueError(
                f"seed is {self.seed}: evaluation starts at {FIRST_SEED}, because demonstrations are recorded with smaller seeds"
            )
        if not self.temperature > 0:
            raise ValueError(
                f"temperature is {self.temperature}: expected a positive number (greedy=True takes the likeliest action)"
            )
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(
                f"max_steps is {self.max_steps}: expected at least 1, or None for the task's own limit"
            )


@dataclass(frozen=True)
class Episode:
    """One episode that was played. `success` is None where the task cannot tell; `cut`: `max_steps`
    ended it, not the task. `mission` is what the agent was told, in words, "" if nothing.
    """

    seed: int
    total: float
    length: int
    success: bool | None
    cut: bool
    mission: str = ""


class EpisodeVideo:
    """The frames of one episode, every `stride`-th and the last; beyond twice `limit` frames, every
    second is dropped and the stride doubled.
    """

    def __init__(self, limit: int = VIDEO_FRAMES, stride: int = 1):
        self.frames: list[np.ndarray] = []
        self.captions: list[dict] = []
        self.limit, self.stride, self.count = limit, stride, 0

    def add(self, render: Callable[[], np.ndarray], caption: dict, last: bool = False) -> None:
        """Render a frame (h, w, 3) and keep it with its caption (`step`, `total`, `mission` …), if
        it is its turn.
        """
        if last or self.count % self.stride == 0:
            self.frames.append(render())
            self.captions.append(caption)
        if len(self.frames) >= 2 * self.limit and not last:
            self.frames, self.captions, self.stride = (
                self.frames[::2],
                self.captions[::2],
                2 * self.stride,
            )
        self.count += 1


class _Slot:
    """One environment of the lockstep, and the episode it is in."""

    def __init__(
        self, env, seeds: Iterator[int], max_steps: int | None, video: EpisodeVideo | None
    ):
        self.env, self.seeds, self.max_steps, self.video = env, seeds, max_steps, video
        self._begin()

    def _begin(self) -> None:
        self.reward, self.start, self.seed = 0.0, True, next(self.seeds, None)
        if self.seed is not None:
            self.observation, _ = self.env.reset(seed=self.seed)
            self.total, self.length, self.mission = (
                0.0,
                0,
                self.observation.get("text_observation", ""),
            )
            self._record()

    def step(self, action) -> Episode | None:
        """Act once; the episode, if this ended it. A slot without a seed stays at a start, where it
        costs the agent least.
        """
        if self.seed is None:
            return None
        self.observation, self.reward, terminated, truncated, info = self.env.step(action)
        self.start, self.total, self.length = False, self.total + self.reward, self.length + 1
        cut = self.length == self.max_steps and not (terminated or truncated)
        ended = terminated or truncated or cut
        self._record(last=ended)
        return self._end(info, cut) if ended else None

    def _end(self, info: dict, cut: bool) -> Episode:
        if not np.isfinite(self.total):
            raise ValueError(
                f"seed {self.seed}: the return is {self.total}; a reward was NaN or infinite"
            )
        success = None if info.get("success") is None else bool(info["success"])
        episode = Episode(self.seed, float(self.total), self.length, success, cut, self.mission)
        self.video = None
        self._begin()
        return episode

    def _record(self, last: bool = False) -> None:
        if self.video is not None:
            caption = {"step": self.length, "total": self.total, "mission": self.mission}
            self.video.add(self.env.render, caption, last)


def play_task(
    agent,
    task: str,
    settings: PlaySettings,
    video: EpisodeVideo | None = None,
    on_episode: Callable[[Episode], None] = lambda episode: None,
    make: Callable = make_env,
) -> list[Episode]:
    """Play the seeds `settings.seed` … `+ episodes - 1` of one task; episodes in the order of their
    seeds. `video` takes the first one.

    `agent` needs `reset(n, task)` and `act(observations, rewards, starts, greedy=, temperature=,
    seeds=)`; see `jatlab.agents.agent`. Sampling starts anew from an episode's own seed, so the
    number of environments does not matter, except that sums in another order may differ in their
    last digit.
    """
    seeds = range(settings.seed, settings.seed + settings.episodes)
    slots, waiting, done = [], iter(seeds), {}
    try:
        for index in range(lockstep(settings.episodes, settings.envs)):
            slots.append(
                _Slot(make(task), waiting, settings.max_steps, video if index == 0 else None)
            )
        agent.reset(len(slots), task)
        while len(done) < len(seeds):
            for episode in _step(agent, slots, settings):
                done[episode.seed] = episode
                on_episode(episode)
    except Exception as error:
        error.add_note(f"while playing {task}, seeds in play: {[slot.seed for slot in slots]}")
        raise
    finally:
        for slot in slots:
            slot.env.close()
    return [done[seed] for seed in seeds]


def lockstep(episodes: int, envs: int) -> int:
    """How many environments to run: at most `envs`, but no more than keep busy until the last
    round. 30 episodes on 16: 15, twice.
    """
    return -(-episodes // -(-episodes // envs))


def _step(agent, slots: list[_Slot], settings: PlaySettings) -> list[Episode]:
    rewards = np.array([slot.reward for slot in slots], dtype=np.float32)
    starts = np.array([slot.start for slot in slots])
    seeds = [slot.seed for slot in slots]
    actions = agent.act(
        [slot.observation for slot in slots],
        rewards,
        starts,
        greedy=settings.greedy,
        temperature=settings.temperature,
        seeds=seeds,
    )
    episodes = [slot.step(action) for slot, action in zip(slots, actions, strict=True)]
    return [episode for episode in episodes if episode is not None]


def evaluate(
    agent,
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
    make: Callable = make_env,
    data: str | Path = "data",
    command: str | None = None,
    progress: bool = True,
) -> dict:
    """Play `episodes` seeded episodes of each task and return the results (see
    `jatlab.evaluation.results.assemble`), ready for JSON.

    `tasks` are names, patterns or domains ("all": the 157). Seeds run from `seed`, never one that
    demonstrations are recorded with; `envs` environments of a task run in lockstep, `workers`
    processes share the tasks, the longest first. Discrete actions are sampled unless `greedy`, at
    the agent's own temperature unless another is given. With `output`, each task's record is
    written there when it is complete, and read instead of played when it exists already. `videos`
    keeps the frames of each task's first episode, and `on_task(task, video)` is called for every
    task that was played, before its record is written. Text and picture tasks are scored on the
    test split below `data` (see `jatlab.evaluation.language`).

    A task that fails (its environment is not installed, the simulation diverged, its process was
    killed) is named with its error in `results["failed"]`, and played again by the next run into
    the same `output`. Raises that error when nothing could be played; `ValueError` for an unknown
    task, a setting that cannot be, or an `output` that holds records of another agent or of other
    settings.
    """
    temperature = getattr(agent, "temperature", 1.0) if temperature is None else temperature
    names, settings = (
        expand(tasks),
        PlaySettings(episodes, seed, envs, greedy, temperature, max_steps),
    )
    if not names:
        raise ValueError(
            "no tasks to evaluate: name at least one, such as babyai-go-to-local, or a domain, such as metaworld"
        )
    who, started = identity(agent), perf_counter()
    folder = None if output is None else Path(output) / "tasks"
    played = [name for name in names if get_task(name).playable]
    records = {} if folder is None else _finished(folder, played, settings, who)
    player = _TaskPlayer(agent, settings, videos, make, workers)
    failed: dict[str, Exception] = {}
    with tqdm(
        total=episodes * len(played),
        initial=episodes * len(records),
        desc="evaluate",
        unit="episode",
        disable=not progress,
    ) as bar:
        for name, result in _play_all(
            player, [name for name in played if name not in records], workers, bar
        ):
            if isinstance(result, Exception):
                failed[name] = result
                bar.write(f"{name} failed: {_told(result)}")
                continue
            on_task(name, result.video)
            records[name] = {
                "task": name,
                "agent": who,
                "settings": asdict(settings),
                "seconds": result.seconds,
                "episodes": result.episodes,
            }
            if folder is not None:
                write_json(folder / f"{name}.json", records[name])
    language = {}
    for name in (name for name in names if name not in played):
        try:
            language |= _language(agent, name, data)
        except Exception as error:
            failed[name] = error
    if failed and not records and not language:
        raise next(iter(failed.values()))
    about = {
        "agent": who,
        "settings": asdict(settings),
        "command": command or _call(names, settings),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    about |= {
        "seconds": sum(record["seconds"] for record in records.values()),
        "wall_seconds": perf_counter() - started,
        "workers": workers,
    }
    about |= {
        "failed": {name: _told(error) for name, error in failed.items()},
        "language": language,
    }
    return assemble({name: records[name] for name in names if name in records}, about)


def _language(agent, name: str, data: str | Path) -> dict[str, dict]:
    from jatlab.evaluation.language import language_scores

    if getattr(agent, "model", None) is None:
        raise ValueError(
            f"{type(agent).__name__} has no model, and {name} asks for the probabilities of tokens"
        )
    return language_scores(agent, [name], data=data)


def _told(error: Exception) -> str:
    """An error in one line."""
    return f"{type(error).__name__}: {error}".splitlines()[0]


def identity(agent) -> dict:
    """Who played: `name`, `parameters` (None without a model) and `fingerprint`, a hash of the
    weights that tells agents apart.
    """
    model, name = (
        getattr(agent, "model", None),
        getattr(agent, "info", {}).get("name") or type(agent).__name__,
    )
    digest = hashlib.sha256(name.encode() if model is None else b"")
    for key, tensor in sorted(model.state_dict().items()) if model is not None else []:
        digest.update(key.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
    parameters = (
        None if model is None else sum(parameter.numel() for parameter in model.parameters())
    )
    return {"name": name, "parameters": parameters, "fingerprint": digest.hexdigest()[:16]}


def _call(names: list[str], settings: PlaySettings) -> str:
    given = {
        name: value
        for name, value in asdict(settings).items()
        if value != getattr(PlaySettings, name)
    }
    return (
        f"jatlab.evaluate(agent, {names}"
        + "".join(f", {name}={value!r}" for name, value in given.items())
        + ")"
    )


def _finished(folder: Path, names: list[str], settings: PlaySettings, who: dict) -> dict[str, dict]:
    """The records of earlier runs into the same folder. Raises `ValueError` when they are of
    another agent or of other settings.
    """
    records = {
        name: read_record(folder / f"{name}.json")
        for name in names
        if (folder / f"{name}.json").exists()
    }
    for name, record in records.items():
        wanted = {**asdict(settings), "agent": who["fingerprint"]}
        wanted.pop("envs")
        found = {**record["settings"], "agent": record["agent"]["fingerprint"]}
        unlike = [
            f"{key} {found.get(key)!r} instead of {value!r}"
            for key, value in wanted.items()
            if found.get(key) != value
        ]
        if unlike:
            raise ValueError(
                f"{folder / name}.json is of another evaluation: {', '.join(unlike)}. Choose another output folder, or delete {folder}"
            )
    return records


@dataclass
class _TaskPlayer:
    """What a process needs to play any task; it travels to each process once."""

    agent: object
    settings: PlaySettings
    videos: bool
    make: Callable
    workers: int = 1

    def __setstate__(self, state: dict) -> None:
        """Arrived in a process of its own, beside others: share the cores."""
        vars(self).update(state)
        if getattr(self.agent, "model", None) is not None:
            import torch

            torch.set_num_threads(max(1, cores() // self.workers))

    def __call__(self, name: str, report: Callable) -> _Played | Exception:
        """Play one task. An error is an answer, not an end: other tasks are waiting."""
        video, started = (
            EpisodeVideo(stride=VIDEO_STRIDES.get(get_task(name).domain, 1))
            if self.videos
            else None,
            perf_counter(),
        )
        try:
            episodes = play_task(
                self.agent,
                name,
                self.settings,
                video,
                lambda episode: report(episode.total),
                self.make,
            )
        except Exception as error:
            return error
        return _Played([asdict(episode) for episode in episodes], video, perf_counter() - started)


@dataclass
class _Played:
    episodes: list[dict]
    video: EpisodeVideo | None
    seconds: float


def _play_all(
    player: _TaskPlayer, names: list[str], workers: int, bar: tqdm
) -> Iterator[tuple[str, _Played | Exception]]:
    """(task, what came of it) of each task, in the order in which they finish."""
    names = sorted(names, key=expected_seconds, reverse=True)
    if workers <= 1 or len(names) <= 1:
        for name in names:
            yield name, player(name, lambda total, name=name: _advance(bar, name, total))
        return
    for kind, name, value in run_jobs(player, names, workers, keep_going=True):
        if kind == "progress":
            _advance(bar, name, value)
        else:
            yield name, value


def _advance(bar: tqdm, name: str, total: float) -> None:
    bar.set_postfix_str(f"{name} {total:.3g}", refresh=False)
    bar.update()


def expected_seconds(name: str) -> float:
    """How long a task's episodes take, compared with other tasks: from the length of the random
    policy's. Unknown tasks count as short.
    """
    random = task_scores(name).random
    return STEP_SECONDS.get(get_task(name).domain, 0.1) * ((random and random.length) or 100)
