"""Playing seeded episodes and keeping their returns: `evaluate` is the door, `play_task` the work.

Several environments of one task run in lockstep, so that the agent answers all of them with one forward pass. An environment whose episode
ends starts the next seed; when no seed is left it waits, and what the agent says to it is dropped. Each task's record is written as
soon as it is complete, so an evaluation that was stopped goes on where it was. `jatlab.results` turns the records into results.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter

import numpy as np
from tqdm.auto import tqdm

from jatlab.files import write_json
from jatlab.results import assemble, read_record
from jatlab.tasks import expand, get_task, make_env

FIRST_SEED = 1_000_000  # smaller ones are for recording demonstrations
FILM_FRAMES = 48
FILM_STRIDES = {"metaworld": 3, "mujoco": 3}  # a frame there takes a sixth of a second without OpenGL, and little moves in a step


@dataclass(frozen=True)
class Settings:
    """What decides the returns, beside agent and task; `envs` does not. Raises `ValueError` for a setting that cannot be."""

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
            raise ValueError(f"seed is {self.seed}: evaluation starts at {FIRST_SEED}, because demonstrations are recorded with smaller seeds")
        if not self.temperature > 0:
            raise ValueError(f"temperature is {self.temperature}: expected a positive number (greedy=True takes the likeliest action)")
        if self.max_steps is not None and self.max_steps < 1:
            raise ValueError(f"max_steps is {self.max_steps}: expected at least 1, or None for the task's own limit")


@dataclass(frozen=True)
class Episode:
    """One episode that was played. `success` is None where the task cannot tell; `cut`: `max_steps` ended it, not the task.
    `mission` is what the agent was told, in words, "" if nothing."""

    seed: int
    total: float
    length: int
    success: bool | None
    cut: bool
    mission: str = ""


class Film:
    """The frames of one episode, every `stride`-th and the last; beyond twice `limit` frames, every second is dropped and the stride doubled."""

    def __init__(self, limit: int = FILM_FRAMES, stride: int = 1):
        self.frames: list[np.ndarray] = []
        self.captions: list[dict] = []
        self.limit, self.stride, self.count = limit, stride, 0

    def add(self, render: Callable[[], np.ndarray], caption: dict, last: bool = False) -> None:
        """Render a frame (h, w, 3) and keep it with its caption (`step`, `total`, `mission` …), if it is its turn."""
        if last or self.count % self.stride == 0:
            self.frames.append(render())
            self.captions.append(caption)
        if len(self.frames) >= 2 * self.limit and not last:
            self.frames, self.captions, self.stride = self.frames[::2], self.captions[::2], 2 * self.stride
        self.count += 1


class _Lane:
    """One environment of the lockstep, and the episode it is in."""

    def __init__(self, env, seeds: Iterator[int], max_steps: int | None, film: Film | None):
        self.env, self.seeds, self.max_steps, self.film = env, seeds, max_steps, film
        self._begin()

    def _begin(self) -> None:
        self.reward, self.start, self.seed = 0.0, True, next(self.seeds, None)
        if self.seed is not None:
            self.observation, _ = self.env.reset(seed=self.seed)
            self.total, self.length, self.mission = 0.0, 0, self.observation.get("text_observation", "")
            self._record()

    def step(self, action) -> Episode | None:
        """Act once; the episode, if this ended it. A lane without a seed stays at a start, where it costs the agent least."""
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
            raise ValueError(f"seed {self.seed}: the return is {self.total}; a reward was NaN or infinite")
        success = None if info.get("success") is None else bool(info["success"])
        episode = Episode(self.seed, float(self.total), self.length, success, cut, self.mission)
        self.film = None
        self._begin()
        return episode

    def _record(self, last: bool = False) -> None:
        if self.film is not None:
            caption = {"step": self.length, "total": self.total, "mission": self.mission}
            self.film.add(self.env.render, caption, last)


def play_task(
    agent, task: str, settings: Settings, film: Film | None = None, on_episode: Callable[[Episode], None] = lambda episode: None, make: Callable = make_env
) -> list[Episode]:
    """Play the seeds `settings.seed` … `+ episodes - 1` of one task; episodes in the order of their seeds. `film` takes the first one.

    `agent` needs `reset(n, task)` and `act(observations, rewards, starts, greedy=, temperature=, seeds=)`; see `jatlab.agent`. Sampling starts anew from an
    episode's own seed, so the number of environments does not matter, except that sums in another order may differ in their last digit.
    """
    seeds = range(settings.seed, settings.seed + settings.episodes)
    lanes, waiting, done = [], iter(seeds), {}
    try:
        for index in range(lockstep(settings.episodes, settings.envs)):
            lanes.append(_Lane(make(task), waiting, settings.max_steps, film if index == 0 else None))
        agent.reset(len(lanes), task)
        while len(done) < len(seeds):
            for episode in _step(agent, lanes, settings):
                done[episode.seed] = episode
                on_episode(episode)
    except Exception as error:
        error.add_note(f"while playing {task}, seeds in play: {[lane.seed for lane in lanes]}")
        raise
    finally:
        for lane in lanes:
            lane.env.close()
    return [done[seed] for seed in seeds]


def lockstep(episodes: int, envs: int) -> int:
    """How many environments to run: at most `envs`, but no more than keep busy until the last round. 30 episodes on 16: 15, twice."""
    return -(-episodes // -(-episodes // envs))


def _step(agent, lanes: list[_Lane], settings: Settings) -> list[Episode]:
    rewards = np.array([lane.reward for lane in lanes], dtype=np.float32)
    starts = np.array([lane.start for lane in lanes])
    seeds = [lane.seed for lane in lanes]
    actions = agent.act([lane.observation for lane in lanes], rewards, starts, greedy=settings.greedy, temperature=settings.temperature, seeds=seeds)
    episodes = [lane.step(action) for lane, action in zip(lanes, actions, strict=True)]
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
    temperature: float = 1.0,
    max_steps: int | None = None,
    films: bool = False,
    on_task: Callable[[str, Film | None], None] = lambda task, film: None,
    make: Callable = make_env,
    command: str | None = None,
    progress: bool = True,
) -> dict:
    """Play `episodes` seeded episodes of each task and return the results (see `jatlab.results.assemble`), ready for JSON.

    `tasks` are names, patterns or domains. Seeds run from `seed`, never one that demonstrations are recorded with; `envs` environments of a task run
    in lockstep, `workers` processes share the tasks. Discrete actions are sampled unless `greedy`. With `output`, each task's record is written
    there when it is complete, and read instead of played when it exists already. `films` keeps the frames of each task's first episode, and
    `on_task(task, film)` is called for every task that was played, before its record is written.

    Raises `ValueError` for an unknown task, a setting that cannot be, a return that is not finite, or an `output` that holds records of another
    agent or of other settings; `ImportError` where the environments are not installed.
    """
    names, settings = expand(tasks), Settings(episodes, seed, envs, greedy, temperature, max_steps)
    if not names:
        raise ValueError("no tasks to evaluate: name at least one, such as babyai-go-to-local, or a domain, such as metaworld")
    who = identity(agent)
    folder = None if output is None else Path(output) / "tasks"
    records = {} if folder is None else _finished(folder, names, settings, who)
    todo = [name for name in names if name not in records]
    with tqdm(total=episodes * len(names), initial=episodes * len(records), desc="evaluate", unit="episode", disable=not progress) as bar:
        for name, played, film, seconds in _play_all(agent, todo, settings, films, make, workers, bar):
            on_task(name, film)
            told = [asdict(episode) for episode in played]
            records[name] = {"task": name, "agent": who, "settings": asdict(settings), "seconds": seconds, "episodes": told}
            if folder is not None:
                write_json(folder / f"{name}.json", records[name])
    seconds = sum(record["seconds"] for record in records.values())
    about = {"command": command or _call(names, settings), "date": datetime.now(UTC).isoformat(timespec="seconds"), "seconds": seconds}
    return assemble({name: records[name] for name in names}, about)


def identity(agent) -> dict:
    """Who played: `name`, `parameters` (None without a model) and `fingerprint`, a hash of the weights that tells agents apart."""
    model, name = getattr(agent, "model", None), getattr(agent, "info", {}).get("name") or type(agent).__name__
    digest = hashlib.sha256(name.encode() if model is None else b"")
    for key, tensor in sorted(model.state_dict().items()) if model is not None else []:
        digest.update(key.encode() + tensor.detach().float().cpu().contiguous().numpy().tobytes())
    parameters = None if model is None else sum(parameter.numel() for parameter in model.parameters())
    return {"name": name, "parameters": parameters, "fingerprint": digest.hexdigest()[:16]}


def _call(names: list[str], settings: Settings) -> str:
    given = {name: value for name, value in asdict(settings).items() if value != getattr(Settings, name)}
    return f"jatlab.evaluate(agent, {names}" + "".join(f", {name}={value!r}" for name, value in given.items()) + ")"


def _finished(folder: Path, names: list[str], settings: Settings, who: dict) -> dict[str, dict]:
    """The records of earlier runs into the same folder. Raises `ValueError` when they are of another agent or of other settings."""
    records = {name: read_record(folder / f"{name}.json") for name in names if (folder / f"{name}.json").exists()}
    for name, record in records.items():
        wanted = {**asdict(settings), "agent": who["fingerprint"]}
        wanted.pop("envs")
        found = {**record["settings"], "agent": record["agent"]["fingerprint"]}
        unlike = [f"{key} {found.get(key)!r} instead of {value!r}" for key, value in wanted.items() if found.get(key) != value]
        if unlike:
            raise ValueError(f"{folder / name}.json is of another evaluation: {', '.join(unlike)}. Choose another output folder, or delete {folder}")
    return records


def _play_all(agent, names: list[str], settings: Settings, films: bool, make: Callable, workers: int, bar: tqdm) -> Iterator[tuple]:
    """(task, episodes, film, seconds) of each task, in the order in which they finish."""
    if workers <= 1 or len(names) <= 1:
        for name in names:
            yield _timed(agent, name, settings, films, make, partial(_advance, bar, name))
        return
    context = multiprocessing.get_context("spawn")  # a fork would copy torch's threads in a state nobody knows
    with ProcessPoolExecutor(min(workers, len(names)), context, _start_worker, (agent, workers)) as pool:
        futures = [pool.submit(_work, name, settings, films, make) for name in names]
        try:
            for future in as_completed(futures):
                result = future.result()
                bar.update(settings.episodes)
                yield result
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _advance(bar: tqdm, name: str, episode: Episode) -> None:
    bar.set_postfix_str(f"{name} {episode.total:.3g}", refresh=False)
    bar.update()


def _timed(agent, name: str, settings: Settings, films: bool, make: Callable, on_episode: Callable = lambda episode: None) -> tuple:
    film, started = Film(stride=FILM_STRIDES.get(get_task(name).domain, 1)) if films else None, perf_counter()
    episodes = play_task(agent, name, settings, film, on_episode, make)
    return name, episodes, film, perf_counter() - started


_AGENT = None  # a worker process keeps its agent here


def _start_worker(agent, workers: int) -> None:
    global _AGENT
    _AGENT = agent
    if getattr(agent, "model", None) is not None:
        import torch

        torch.set_num_threads(max(1, (os.cpu_count() or 1) // workers))


def _work(name: str, settings: Settings, films: bool, make: Callable) -> tuple:
    return _timed(_AGENT, name, settings, films, make)
