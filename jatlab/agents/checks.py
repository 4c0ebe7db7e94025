"""The checks at an agent's door: what it is asked about, in the words of the caller."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import Any

import numpy as np

from jatlab.agents.settings import AgentSettings
from jatlab.model.config import GRID_INTEGERS, JatConfig
from jatlab.model.inputs.door import FRAMES, LARGEST
from jatlab.tasks import Task
from jatlab.tasks.task import Observation
from jatlab.utils.checks import require, whole_number


def checked_starts(starts: Any) -> np.ndarray:
    """Where episodes begin, as booleans (n,). Raises `ValueError` for what is not a yes or no."""
    try:
        values = np.asarray(starts)
    except ValueError:
        values = np.asarray(None)
    require(
        values.ndim == 1 and (values.dtype == bool or np.isin(values, (0, 1)).all()),
        f"starts is {starts!r}: expected True or False for each environment",
    )
    return values.astype(bool)


def checked_rewards(rewards: Any, starts: np.ndarray) -> np.ndarray:
    """The rewards as float32 (n,), 0 where an episode begins: no reward came before it.

    One number stands for all environments. Raises `ValueError` unless they are finite numbers.
    """
    try:
        values = np.asarray(rewards, dtype=np.float64)
    except (TypeError, ValueError):
        values = np.asarray(np.nan)
    values = np.full(len(starts), values) if values.ndim == 0 else values
    require(
        values.ndim == 1,
        f"rewards have shape {values.shape}: expected one number for each environment",
    )
    if len(values) == len(starts):
        values = np.where(starts, 0.0, values)
    require(
        (np.abs(values) <= LARGEST).all(),
        f"rewards must be finite numbers of at most {LARGEST:g}, not {rewards!r}",
    )
    return values.astype(np.float32)


def checked_seeds(seeds: Sequence[Any]) -> list[int | None]:
    """The seeds, each a whole number of at least 0 or None. Raises `ValueError` for others."""
    return [None if seed is None else whole_number(seed, "seeds") for seed in seeds]


def check_lengths(
    n: int, observations: Sized, rewards: np.ndarray, starts: np.ndarray, seeds: Sized | None
) -> None:
    """Raise `ValueError` unless there is one of each for each of the ``n`` environments."""
    require(
        isinstance(observations, Sized),
        f"observations is a {type(observations).__name__}: expected a list of {n} dicts",
    )
    require(
        len(observations) == len(rewards) == len(starts) == n,
        f"the agent was reset for {n} environments; it got {len(observations)} observations, "
        f"{len(rewards)} rewards, {len(starts)} starts",
    )
    if seeds is not None:
        require(
            isinstance(seeds, Sized) and len(seeds) == n,
            f"seeds is {seeds!r}: expected one seed or None for each of the {n} environments",
        )


def checked_mission(text: str) -> str:
    """The mission, if it can be encoded. Raises `ValueError` for halves of characters."""
    try:
        text.encode()
    except UnicodeError:
        raise ValueError(
            f"text_observation is {text!r}, which holds half a character: decode it again, as UTF-8"
        ) from None
    return text


def check_observation(observation: Observation, task: Task) -> None:
    """Raise `ValueError` unless the observation is one of ``task``.

    It must have the right key, shape and dtype, and finite values.
    """
    key = f"{task.observation}_observation"
    keys = ", ".join(observation) if isinstance(observation, dict) else type(observation).__name__
    require(
        isinstance(observation, dict) and key in observation,
        f"an observation of {task.name} is a dict with {key!r}; got {keys}",
    )
    try:
        value = np.asarray(observation[key])
    except ValueError:  # of lists of several lengths
        value = np.asarray(None)
    continuous, discrete = (task.observation_size,), (GRID_INTEGERS,)
    shape = {"continuous": continuous, "discrete": discrete, "image": FRAMES}[task.observation]
    require(value.shape == shape, f"{key} of {task.name} has shape {shape}, not {value.shape}")
    require(
        task.observation == "continuous" or value.dtype.kind in "iu",
        f"{key} of {task.name} holds integers, not {value.dtype}",
    )
    require(
        value.dtype.kind in "iufb",
        f"{key} of {task.name} holds numbers, not {value.dtype}",
    )
    require(
        np.isfinite(value).all(),
        f"{key} of {task.name} holds NaN or infinity: the environment has diverged, reset it",
    )
    require(
        (np.abs(value) <= (255 if task.observation == "image" else LARGEST)).all()
        and (task.observation == "continuous" or value.min() >= 0),
        f"{key} of {task.name} holds numbers from {value.min():g} to {value.max():g}: expected "
        + {"image": "pixels from 0 to 255", "discrete": "no negative ones"}.get(
            task.observation, f"at most {LARGEST:g}"
        ),
    )
    require(
        task.observation != "discrete" or isinstance(observation.get("text_observation"), str),
        f"an observation of {task.name} has its mission as a string under 'text_observation'",
    )


def check_remembers(retrieved: int, name: str) -> None:
    """Refuse an in-context agent, which retrieves timesteps, where it has no demonstrations."""
    require(
        not retrieved,
        f"{name} is an in-context agent and plays from demonstrations of the task: `jatlab play "
        "AGENT TASK --demonstrations FOLDER`, or jatlab.InContextAgent(agent, task, "
        "demonstrations)",
    )


def check_in_context(settings: AgentSettings, config: JatConfig, who: str) -> None:
    """Whether a model can read what these settings retrieve; ``who`` begins the message.

    Raises:
        ValueError: for a model that does not see past actions, or has too few positions.
    """
    retrieved, room = settings.retrieved, config.max_timesteps
    require(
        not config.hide_past_actions,
        f"{who}: hide_past_actions hides the retrieved actions too; train a model without it",
    )
    require(
        retrieved < room,
        f"{who}: retrieved is {retrieved}: with the observation itself these are {retrieved + 1} "
        f"timesteps, and the model has room for {room}",
    )
