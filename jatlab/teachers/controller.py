"""Controllers that ship with the package: the teachers of MuJoCo and of some Atari games.

``controllers/TASK.safetensors`` holds a task's numbers, a policy of one to three layers
(``jatlab.teachers.policy``); ``jatlab teach TASK`` finds them again
(``jatlab.teachers.fitting.teach``). Playing one needs NumPy alone, besides the environment.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from jatlab.tasks import get_task
from jatlab.teachers.base import Teacher
from jatlab.teachers.policy import Policy
from jatlab.utils.files import ASSETS

FOLDER = ASSETS / "controllers"
CONSOLE_SIZE = 256  # what a policy sees of an Atari game, see ``jatlab.teachers.console``


class ControllerTeacher(Teacher):
    """Acts by a policy, from the observation, (n,) float32, to the action, (m,)."""

    def __init__(self, policy: Policy):
        self.policy = policy

    def act(self, observation: dict, executed=None) -> np.ndarray:
        return self.policy(observation["continuous_observation"])


def has_controller(task_name: str) -> bool:
    """Whether a controller of this task ships."""
    return (FOLDER / f"{task_name}.safetensors").exists()


def controller_file(task_name: str) -> Path:
    """Where the shipped controller of a task is. Raises ValueError if there is none."""
    path = FOLDER / f"{task_name}.safetensors"
    if not path.exists():
        raise ValueError(
            f"{task_name} has no controller ({path} is missing); make one with `jatlab teach {task_name} --install`"
        )
    return path


def read_controller(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a controller's file, and what it says about itself. Raises ValueError if it
    cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is not a controller that can be read ({error}); restore it, or make it again with `jatlab teach`"
        ) from error


def load_controller(task_name: str, path: str | Path | None = None) -> Policy:
    """The controller in a file, or the shipped one. Raises ValueError for one that is missing,
    broken, of another task or of the wrong shape.
    """
    task = get_task(task_name)
    path = controller_file(task_name) if path is None else Path(path)
    tensors, about = read_controller(path)
    if about.get("task", task_name) != task_name:
        raise ValueError(f"{path} is a controller of {about['task']}, not of {task_name}")
    try:
        return Policy(
            tensors,
            (CONSOLE_SIZE if task.domain == "atari" else task.observation_size, task.action_size),
        )
    except ValueError as error:
        raise ValueError(f"{path} does not fit {task_name}: {error}") from error


def make_teacher(task_name: str, path: str | Path | None = None) -> Teacher:
    """The teacher of a MuJoCo task or an Atari game, with the shipped controller or the one in a
    file.
    """
    policy = load_controller(task_name, path)
    if get_task(task_name).domain == "atari":
        from jatlab.teachers.console import ConsoleTeacher

        return ConsoleTeacher(policy)
    return ControllerTeacher(policy)


def describe_controller(task_name: str) -> str:
    """How the shipped controller was made, and a digest of its numbers: words that change when it
    does.
    """
    tensors, about = read_controller(controller_file(task_name))
    digest = hashlib.sha256(
        b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))
    )
    return f"{about.get('method', 'a controller')} ({digest.hexdigest()[:8]})"
