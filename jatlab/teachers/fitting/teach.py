"""`jatlab teach TASK`: find the controller of a MuJoCo task or an Atari game again, the way the
shipped one was found.

    OUTPUT/TASK/state.safetensors       where the search stands; the same command goes on from there
    OUTPUT/TASK/log.jsonl               a line a check: rounds, steps, minutes of processor time, mean return
    OUTPUT/TASK/TASK.safetensors        the best controller so far; ``--install`` puts it into the package

A search is a list of rounds. Every so many rounds the controller plays a few episodes on seeds of
their own, and the best one is kept. All that is drawn depends on the seed and the round's number,
so stopping and going on changes nothing (but the last bits of sums). Minutes are processor time.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors.numpy import save_file
from tqdm import tqdm

from jatlab.tasks import get_task
from jatlab.teachers.controller import FOLDER, read_controller
from jatlab.teachers.fitting.recipes import Recipe, recipe_of
from jatlab.teachers.fitting.simulation import make_simulation, play
from jatlab.teachers.policy import Policy
from jatlab.utils.files import atomic_write

CHECK_SEED = 3_300_000  # apart from searching, recording, evaluation and measuring
SAVE_SECONDS = 30.0


class Search(Protocol):
    """What every method offers: rounds, and a state to go on from."""

    rounds: int

    def round(self) -> dict[str, float]: ...
    def tensors(self) -> dict[str, np.ndarray]: ...
    def state(self) -> dict[str, np.ndarray]: ...
    def restore(self, state: dict[str, np.ndarray]) -> None: ...


@dataclass
class Progress:
    """What a search has come to, beside its own state."""

    steps: int = 0
    seconds: float = 0.0  # of processor time
    best: float = -np.inf

    def state(self) -> dict[str, np.ndarray]:
        return {"progress": np.array([self.steps, self.seconds, self.best])}

    @classmethod
    def of(cls, state: dict[str, np.ndarray]) -> Progress:
        steps, seconds, best = state["progress"]
        return cls(int(steps), float(seconds), float(best))


def teach(
    task: str,
    output: str | Path = "runs/teach",
    rounds: int | None = None,
    seed: int = 0,
    install: bool = False,
    progress: bool = True,
) -> Path:
    """Search for the controller of ``task``; the path of the best one found.

    ``rounds`` shortens or lengthens the search; what was done in ``output`` before counts.
    ``install`` copies the controller into the package at the end. Raises ValueError for an unknown
    task, one without a recipe, and a folder with a search of another seed or recipe.
    """
    recipe, folder = recipe_of(task), Path(output) / task
    rounds = recipe.rounds if rounds is None else rounds
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, got {rounds}")
    print(
        f"{task}: {recipe.method}, {rounds} rounds; all {recipe.rounds} take about {recipe.minutes:g} minutes of one core"
    )
    path = _search(task, recipe, folder, rounds, seed, progress)
    if install:
        FOLDER.mkdir(exist_ok=True)
        with atomic_write(FOLDER / path.name) as temporary:
            shutil.copyfile(path, temporary)
        path = FOLDER / path.name
    print(f"the controller is {path}")
    return path


def _search(task: str, recipe: Recipe, folder: Path, rounds: int, seed: int, show: bool) -> Path:
    search, facts = (
        recipe.make(task, seed),
        {"task": task, "seed": str(seed), "settings": repr(recipe.settings)},
    )
    done, target = (
        _restore(search, folder / "state.safetensors", facts),
        folder / f"{task}.safetensors",
    )
    started, saved = time.process_time() - done.seconds, time.monotonic()
    with tqdm(
        total=rounds,
        initial=min(search.rounds, rounds),
        unit=" rounds",
        disable=not show,
        dynamic_ncols=True,
    ) as bar:
        try:
            while search.rounds < rounds:
                seen = search.round()
                done.steps += int(seen["steps"])
                if search.rounds % recipe.check_every == 0 or search.rounds == rounds:
                    done.seconds = time.process_time() - started
                    _check(task, recipe, search, done, folder, seen)
                    saved = 0.0  # so that a killed search knows of its best controller
                if time.monotonic() - saved > SAVE_SECONDS:
                    done.seconds, saved = time.process_time() - started, time.monotonic()
                    _save(search, done, folder, facts)
                bar.set_postfix_str(
                    f"return {seen['return']:.4g}, best {done.best:.4g}", refresh=False
                )
                bar.update()
        except KeyboardInterrupt:
            raise KeyboardInterrupt(
                f"stopped after {search.rounds} rounds; the same command goes on from there"
            ) from None
        finally:
            done.seconds = time.process_time() - started
            _save(search, done, folder, facts)
    return target


def _check(
    task: str, recipe: Recipe, search: Search, done: Progress, folder: Path, seen: dict[str, float]
) -> None:
    """Play the controller as it is now; keep it if it is the best so far."""
    tensors = search.tensors()
    returns = evaluate(task, Policy(tensors), range(CHECK_SEED, CHECK_SEED + recipe.check_episodes))
    mean = float(np.mean(returns))
    if mean > done.best:
        done.best = mean
        about = {
            "task": task,
            "method": recipe.method,
            "rounds": str(search.rounds),
            "steps": str(done.steps),
            "check": f"{mean:.1f}",
        }
        with atomic_write(folder / f"{task}.safetensors") as temporary:
            save_file(
                {
                    name: value if value.dtype == np.float16 else np.asarray(value, np.float32)
                    for name, value in tensors.items()
                },
                temporary,
                about,
            )
    line = {
        "rounds": search.rounds,
        "steps": done.steps,
        "minutes": round(done.seconds / 60, 2),
        "search": round(float(seen["return"]), 2),
        "check": round(mean, 2),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def evaluate(task: str, policy: Policy, seeds: range) -> np.ndarray:
    """The return of a policy on each seed."""
    simulation, act = (
        make_simulation(task),
        policy.choose if get_task(task).action == "discrete" else policy,
    )
    return np.array([play(simulation, act, seed)[0] for seed in seeds])


def _save(search: Search, done: Progress, folder: Path, facts: dict[str, str]) -> None:
    with atomic_write(folder / "state.safetensors") as temporary:
        save_file(
            {
                name: np.array(value, order="C")
                for name, value in (search.state() | done.state()).items()
            },
            temporary,
            facts,
        )


def _restore(search: Search, path: Path, facts: dict[str, str]) -> Progress:
    if not path.exists():
        return Progress()
    state, known = read_controller(path)
    for name, value in facts.items():
        if known.get(name) != value:
            raise ValueError(
                f"{path} is a search with {name} = {known.get(name)}, now it is {value}; choose another --output, or delete that folder"
            )
    search.restore(state)
    return Progress.of(state)
