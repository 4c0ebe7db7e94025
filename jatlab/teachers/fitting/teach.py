"""`jatlab teach TASK`: find the controller of a MuJoCo task or an Atari game again.

The way is that by which the shipped controller was found. A search is a list of rounds. Every so
many rounds the controller plays a few episodes on separate seeds, and the best one is kept:

    OUTPUT/TASK/state.safetensors   where the search stands; the same command goes on from there
    OUTPUT/TASK/log.jsonl           a line a check: rounds, steps, minutes, mean returns
    OUTPUT/TASK/TASK.safetensors    the best controller so far; --install puts it into the package

All that is drawn depends on the seed and the round's number, so stopping and going on changes
nothing (but the last bits of sums). Minutes are of processor time.
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from jatlab.tasks import get_task
from jatlab.teachers.controller import FOLDER, read_controller
from jatlab.teachers.fitting.recipes import Recipe, recipe_of
from jatlab.teachers.fitting.simulation import make_simulation, play
from jatlab.teachers.policy import Policy
from jatlab.utils.bars import progress_bar
from jatlab.utils.checks import require
from jatlab.utils.console import say
from jatlab.utils.files import atomic_write, expanded

CHECK_SEED = 3_300_000  # of checks; searching, recording, evaluation and measuring use other seeds
SAVE_SECONDS = 30.0


@dataclass
class SearchProgress:
    """What a search has come to, beside the state of its method."""

    steps: int = 0
    seconds: float = 0.0  # of processor time
    best: float = -np.inf  # mean return of a check

    def state(self) -> dict[str, np.ndarray]:
        """As a tensor, for a file."""
        return {"progress": np.array([self.steps, self.seconds, self.best])}

    @classmethod
    def of(cls, state: dict[str, np.ndarray]) -> SearchProgress:
        """The progress in a :meth:`state`."""
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
    """Search for the controller of a task.

    Args:
        task: A MuJoCo task or an Atari game with a recipe.
        output: The folder; a search in it goes on.
        rounds: Stop after so many, those done before included; None for the recipe's.
        seed: Of all that is drawn.
        install: Whether to copy the controller into the package at the end.
        progress: Whether to show a progress bar.

    Returns:
        The file of the best controller found.

    Raises:
        ValueError: For an unknown task, one without a recipe, less than one round, and a folder
            with a search of another seed or recipe.
    """
    recipe, folder = recipe_of(task), expanded(output) / task
    rounds = recipe.rounds if rounds is None else rounds
    require(rounds >= 1, f"rounds must be at least 1, got {rounds}")
    say(
        f"{task}: {recipe.method}, {rounds} rounds; "
        f"all {recipe.rounds} take about {recipe.minutes:g} minutes of one core"
    )
    path = SearchRun(task, recipe, folder, seed).run(rounds, progress)
    if install:
        FOLDER.mkdir(exist_ok=True)
        with atomic_write(FOLDER / path.name) as temporary:
            shutil.copyfile(path, temporary)
        path = FOLDER / path.name
    say(f"the controller is {path}")
    return path


class SearchRun:
    """A search that is checked, logged and saved in its folder."""

    def __init__(self, task: str, recipe: Recipe, folder: Path, seed: int):
        self.task, self.recipe, self.folder = task, recipe, folder
        self.search = recipe.make(task, seed)
        self.facts = {"task": task, "seed": str(seed), "settings": repr(recipe.settings)}
        self.state_file = folder / "state.safetensors"
        self.controller_file = folder / f"{task}.safetensors"
        self.done = self._restore()
        self.started = time.process_time() - self.done.seconds

    def run(self, rounds: int, show: bool) -> Path:
        """Go on up to so many rounds; the file of the best controller."""
        search, saved = self.search, time.monotonic()
        first = min(search.rounds, rounds)
        bar = progress_bar(show, total=rounds, initial=first, unit=" rounds")
        with bar:
            try:
                while search.rounds < rounds:
                    seen = search.round()
                    self.done.steps += int(seen["steps"])
                    if search.rounds % self.recipe.check_every == 0 or search.rounds == rounds:
                        self._check_controller(seen["return"])
                        saved = 0.0  # so that a killed search knows of its best controller
                    if time.monotonic() - saved > SAVE_SECONDS:
                        self.save()
                        saved = time.monotonic()
                    text = f"return {seen['return']:.4g}, best {self.done.best:.4g}"
                    bar.set_postfix_str(text, refresh=False)
                    bar.update()
            except KeyboardInterrupt:
                raise KeyboardInterrupt(
                    f"stopped after {search.rounds} rounds; the same command goes on from there"
                ) from None
            finally:
                self.save()
        return self.controller_file

    def _check_controller(self, search_return: float) -> None:
        """Play the controller as it is now; keep it if it is the best so far."""
        self.done.seconds = time.process_time() - self.started
        tensors = self.search.tensors()
        seeds = range(CHECK_SEED, CHECK_SEED + self.recipe.check_episodes)
        mean = float(np.mean(evaluate(self.task, Policy(tensors), seeds)))
        if mean > self.done.best:
            self.done.best = mean
            self._keep(tensors)
        line = {
            "rounds": self.search.rounds,
            "steps": self.done.steps,
            "minutes": round(self.done.seconds / 60, 2),
            "search": round(search_return, 2),
            "check": round(mean, 2),
        }
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def _keep(self, tensors: dict[str, np.ndarray]) -> None:
        """Write the controller's file."""
        about = {
            "task": self.task,
            "method": self.recipe.method,
            "rounds": str(self.search.rounds),
            "steps": str(self.done.steps),
            "check": f"{self.done.best:.1f}",
        }
        stored = {
            name: value if value.dtype == np.float16 else np.asarray(value, np.float32)
            for name, value in tensors.items()
        }
        with atomic_write(self.controller_file) as temporary:
            save_file(stored, temporary, about)

    def save(self) -> None:
        """Write where the search stands."""
        self.done.seconds = time.process_time() - self.started
        state = self.search.state() | self.done.state()
        ordered = {name: np.array(value, order="C") for name, value in state.items()}
        with atomic_write(self.state_file) as temporary:
            save_file(ordered, temporary, self.facts)

    def _restore(self) -> SearchProgress:
        """Go on from the folder's search, if there is one."""
        path = self.state_file
        if not path.exists():
            return SearchProgress()
        state, known = read_controller(path)
        for name, value in self.facts.items():
            require(
                known.get(name) == value,
                f"{path} is a search with {name} = {known.get(name)}, now it is {value}; "
                "choose another --output, or delete that folder",
            )
        self.search.restore(state)
        return SearchProgress.of(state)


def evaluate(task: str, policy: Policy, seeds: range) -> np.ndarray:
    """The return of a policy on each seed, (seeds,)."""
    act = policy.choose if get_task(task).action == "discrete" else policy
    simulation = make_simulation(task)
    return np.array([play(simulation, act, seed)[0] for seed in seeds])
