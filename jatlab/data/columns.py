"""The columns of an episode: their names, types and shapes, and what every episode must satisfy.

The columns are those of ``jat-project/jat-dataset``, so that recorded and published episodes have
one format. In memory an episode is a dict of NumPy arrays over its T timesteps:

=======================  ======================  ===================================================
column                   array                   what it is
=======================  ======================  ===================================================
continuous_observations  (T, n) float32          MuJoCo, Meta-World
discrete_observations    (T, n) int64            BabyAI: the direction, then the 7 x 7 x 3 view
text_observations        (T,) object             BabyAI: the mission, a ``str`` at every timestep
image_observations       (T, 4, 84, 84) uint8    Atari: four stacked grey frames
continuous_actions       (T, m) float32
discrete_actions         (T,) int64
rewards                  (T,) float32            ``rewards[t]`` came *after* action t
=======================  ======================  ===================================================

The last observation, which follows the last action, is not stored.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jatlab.utils.checks import require

if TYPE_CHECKING:
    from jatlab.tasks import Task

Episode = dict[str, np.ndarray]

IMAGE_SHAPE = (4, 84, 84)
COLUMN_TYPES: dict[str, type] = {
    "continuous_observations": np.float32,
    "discrete_observations": np.int64,
    "text_observations": object,
    "image_observations": np.uint8,
    "continuous_actions": np.float32,
    "discrete_actions": np.int64,
    "rewards": np.float32,
}
_OBSERVATIONS = {
    "continuous": ("continuous_observations",),
    "discrete": ("text_observations", "discrete_observations"),
    "image": ("image_observations",),
}
_ACTIONS = {"continuous": "continuous_actions", "discrete": "discrete_actions"}


def column_names(task: Task) -> tuple[str, ...]:
    """The columns of ``task``'s episodes, in the published order: observations, action, rewards."""
    return (*_OBSERVATIONS[task.observation], _ACTIONS[task.action], "rewards")


def column_shape(task: Task, column: str) -> tuple[int, ...]:
    """The shape of one timestep of ``column``; ``()`` for columns with one value a timestep."""
    if column == "image_observations":
        return IMAGE_SHAPE
    if column in ("continuous_observations", "discrete_observations"):
        return (task.observation_size,)
    return (task.action_size,) if column == "continuous_actions" else ()


def check_episode(episode: Episode, task: Task, index: int | None = None) -> None:
    """Check that ``episode`` is a complete and valid episode of ``task``.

    Every column must be present, all of the same length of at least 1, with the task's sizes and
    fitting types. All numbers must be finite, and discrete actions must lie in the action space.

    Args:
        episode: the arrays, by column.
        task: the task that the episode was played in.
        index: the number of the episode, for the error message only.

    Raises:
        ValueError: the message names the task, the episode and the column.
    """
    where = f"{task.name}, episode {'?' if index is None else index}"
    wanted = column_names(task)
    missing = [column for column in wanted if column not in episode]
    if missing:
        raise ValueError(
            f"{where}: column {missing[0]!r} is missing; expected {', '.join(wanted)}, "
            f"got {', '.join(sorted(episode))}"
        )
    length = len(episode["rewards"])
    require(length > 0, f"{where}: the episode is empty; it needs at least one timestep")
    for column in wanted:
        values = np.asarray(episode[column])
        _check_shape(values, f"{where}, column {column!r}", length, column_shape(task, column))
        _check_values(values, f"{where}, column {column!r}", COLUMN_TYPES[column])
    if task.action == "discrete":
        where = f"{where}, column 'discrete_actions'"
        _check_actions(np.asarray(episode["discrete_actions"]), where, task.action_size)


# Called for each column of each episode: messages are made only where they are needed.


def _check_shape(values: np.ndarray, where: str, length: int, shape: tuple[int, ...]) -> None:
    if len(values) != length:
        raise ValueError(
            f"{where}: {len(values)} timesteps, but 'rewards' has {length}; "
            "all columns need the same length"
        )
    if values.shape[1:] != shape:
        raise ValueError(f"{where}: a timestep has shape {values.shape[1:]}, expected {shape}")


def _check_values(values: np.ndarray, where: str, dtype: type) -> None:
    if dtype is object:
        texts = all(isinstance(text, str) for text in values)
        require(texts, f"{where}: expected text at every timestep")
        return
    if not np.can_cast(values.dtype, dtype, "same_kind"):
        raise ValueError(f"{where}: values of type {values.dtype}, expected {np.dtype(dtype)}")
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        t = int(np.argwhere(~np.isfinite(values))[0][0])
        raise ValueError(
            f"{where}: NaN or infinite value at timestep {t}; "
            "record the episode again or leave it out"
        )


def _check_actions(actions: np.ndarray, where: str, size: int) -> None:
    outside = (actions < 0) | (actions >= size)
    if outside.any():
        t = int(np.argmax(outside))
        raise ValueError(f"{where}: action {actions[t]} at timestep {t}, expected 0 to {size - 1}")
