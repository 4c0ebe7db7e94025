"""Controllers that ship with the package: the teachers of MuJoCo and of some Atari games.

``controllers/TASK.safetensors`` holds the numbers of a task's controller, a policy of one to three
layers (``jatlab.teachers.policy``). ``jatlab teach TASK`` finds them again
(``jatlab.teachers.fitting.teach``). Besides the environment, playing one needs only NumPy.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from jatlab.tasks import get_task
from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher
from jatlab.teachers.policy import Policy
from jatlab.utils.checks import require
from jatlab.utils.files import ASSETS

FOLDER = ASSETS / "controllers"
CONSOLE_SIZE = 256  # numbers that a policy sees of an Atari game, see ``jatlab.teachers.console``


class ControllerTeacher(Teacher):
    """Acts by a policy, from the observation, (n,) float32, to the action, (m,)."""

    def __init__(self, policy: Policy):
        self.policy = policy

    def act(self, observation: Observation, executed: Action | None = None) -> np.ndarray:
        """The policy's action for an observation."""
        return self.policy(observation["continuous_observation"])


def has_controller(task_name: str) -> bool:
    """Whether a controller of this task ships."""
    return (FOLDER / f"{task_name}.safetensors").exists()


def controller_file(task_name: str) -> Path:
    """Where the shipped controller of a task is. Raises ValueError if there is none."""
    path = FOLDER / f"{task_name}.safetensors"
    require(
        path.exists(),
        f"{task_name} has no controller ({path} is missing); "
        f"make one with `jatlab teach {task_name} --install`",
    )
    return path


def read_controller(path: str | Path) -> tuple[dict[str, np.ndarray], dict[str, str]]:
    """The tensors of a controller's file, and its metadata.

    Raises ValueError if the file cannot be read.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys()
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is not a controller that can be read ({error}); "
            "restore it, or make it again with `jatlab teach`"
        ) from error


def load_controller(task_name: str, path: str | Path | None = None) -> Policy:
    """The controller in a file, or the shipped one.

    Raises ValueError for a file that is missing or broken, of another task or of the wrong shape.
    """
    task = get_task(task_name)
    path = controller_file(task_name) if path is None else Path(path)
    tensors, about = read_controller(path)
    made_for = about.get("task", task_name)
    require(made_for == task_name, f"{path} is a controller of {made_for}, not of {task_name}")
    observation_size = CONSOLE_SIZE if task.domain == "atari" else task.observation_size
    try:
        return Policy(tensors, (observation_size, task.action_size))
    except ValueError as error:
        raise ValueError(f"{path} does not fit {task_name}: {error}") from error


def make_teacher(task_name: str, path: str | Path | None = None) -> Teacher:
    """The teacher of a MuJoCo task or an Atari game.

    Its controller is the one in a file, or the shipped one.
    """
    policy = load_controller(task_name, path)
    if get_task(task_name).domain == "atari":
        from jatlab.teachers.console import ConsoleTeacher

        return ConsoleTeacher(policy)
    return ControllerTeacher(policy)


def describe_controller(task_name: str) -> str:
    """How the shipped controller was found, and a digest of its numbers.

    The words change when the controller does.
    """
    tensors, about = read_controller(controller_file(task_name))
    content = b"".join(name.encode() + tensors[name].tobytes() for name in sorted(tensors))
    digest = hashlib.sha256(content).hexdigest()[:8]
    return f"{about.get('method', 'a controller')} ({digest})"
