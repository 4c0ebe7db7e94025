"""What a task is: the static facts that data, model and evaluation need.

Importing this module imports no environment.
"""

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from jatlab.utils.checks import require, whole_number

DOMAINS = ("atari", "babyai", "metaworld", "mujoco")  # control: tasks that are played
LANGUAGE_DOMAINS = ("text", "vision")  # language: tasks that are read

# Steps after which an episode is cut where its environment never ends it. Every published
# environment ends its episodes before; a game of Atari lasts at most 27,000 decisions.
LONGEST_EPISODES = {"atari": 30_000}
LONGEST_EPISODE = 10_000  # of the other domains

# One observation by its parts, of which a task has some:
#   continuous_observation  float32 (n,)
#   discrete_observation    int64 (148,)
#   text_observation        str
#   image_observation       uint8 (4, 84, 84)
Observation: TypeAlias = dict[str, Any]
Action: TypeAlias = np.ndarray | int  # float32 (m,), or the number of a choice


@dataclass(frozen=True)
class Task:
    """The static facts of one task.

    Language tasks have no environment: they are read, not played. Their observation is "text" or
    "picture" (a picture with its text), their action "text", and both sizes are 1 (a token).

    Attributes:
        name: Lower-case words joined by hyphens; published names begin with their domain.
        domain: One of ``DOMAINS`` or ``LANGUAGE_DOMAINS``, or a new one for a task of your own.
        env_id: The environment that we use; None for a task that is read.
        published_env_id: The environment that the authors of JAT used.
        observation: "continuous", "discrete" (grid integers, with a mission as text) or "image".
        observation_size: The number of values in an observation: 39; 148; 4 * 84 * 84.
        action: "continuous" or "discrete".
        action_size: The number of values of a continuous action, or of choices.
        loss_weight: The published weight of the task's losses.
        max_timesteps: The published training window; None for as many as the model can hold.
        note: How our environment differs from the published one; "" if it does not.
        episode_limit: The number of steps that end an episode, as part of the task. None: the
            environment ends it; one that never does is cut after 30,000 steps (Atari) or 10,000.
    """

    name: str
    domain: str
    env_id: str | None
    published_env_id: str | None
    observation: str
    observation_size: int
    action: str
    action_size: int
    loss_weight: float = 1.0
    max_timesteps: int | None = None
    note: str = ""
    episode_limit: int | None = None

    def __post_init__(self) -> None:
        require(
            re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", self.name),
            f"task name {self.name!r}: use lower-case words joined by hyphens, "
            "such as 'own-cartpole'",
        )
        language = self.domain in LANGUAGE_DOMAINS
        self._check_kind(
            "observation", ("text", "picture") if language else ("continuous", "discrete", "image")
        )
        self._check_kind("action", ("text",) if language else ("continuous", "discrete"))
        require(
            self.observation_size >= 1 and self.action_size >= 1,
            f"task {self.name}: sizes are at least 1, "
            f"got {self.observation_size} and {self.action_size}",
        )
        if self.episode_limit is not None:
            limit = whole_number(self.episode_limit, f"task {self.name}: episode_limit", 1)
            object.__setattr__(self, "episode_limit", limit)

    def _check_kind(self, field: str, known: tuple[str, ...]) -> None:
        value = getattr(self, field)
        *most, last = map(repr, known)
        choices = f"{', '.join(most)} or {last}" if most else last
        require(value in known, f"task {self.name}: {field} is {choices}, not {value!r}")

    @property
    def longest_episode(self) -> int:
        """Steps after which an episode ends at the latest, see ``episode_limit``."""
        return self.episode_limit or LONGEST_EPISODES.get(self.domain, LONGEST_EPISODE)

    @property
    def playable(self) -> bool:
        """Whether the task has an environment; language tasks have none."""
        return self.domain not in LANGUAGE_DOMAINS
