"""The mission as numbers, for libraries that cannot read strings."""

from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import RecordConstructorArgs

from jatlab.tasks.task import Observation
from jatlab.utils.checks import require, whole_number

# Every word of BabyAI's missions. A mission's number 0 is "no word", so the first word is 1.
# fmt: off
WORDS = (
    ",", "a", "after", "and", "ball", "behind", "blue", "box", "door", "front", "go", "green",
    "grey", "in", "key", "left", "next", "object", "of", "on", "open", "pick", "purple", "put",
    "red", "right", "the", "then", "to", "up", "yellow", "you", "your",
)
# fmt: on
# Four times "put the grey ball in front of you next to the grey ball in front of you", joined by
# "and", ", then" and "and", are the longest mission.
LENGTH = 72


class NumericMission(gym.ObservationWrapper, RecordConstructorArgs):
    """Makes ``text_observation`` an int64 array of word numbers.

    The space becomes ``MultiDiscrete`` of shape (length,), which stable-baselines3 and others read
    as one-hot vectors. Number i + 1 stands for ``words[i]``, and zeros fill the rest. A comma is a
    word. The other observations stay as they are.

    Args:
        env: An environment that observes a mission, such as those of BabyAI.
        words: The vocabulary; BabyAI's if not given.
        length: The most words that a mission may have.

    Raises:
        ValueError: If the environment observes no mission, and later, if a mission has an unknown
            word or too many words.
    """

    def __init__(self, env: gym.Env, words: Sequence[str] = WORDS, length: int = LENGTH):
        RecordConstructorArgs.__init__(self, words=list(words), length=length)
        gym.ObservationWrapper.__init__(self, env)
        space = env.observation_space
        if not isinstance(space, spaces.Dict) or "text_observation" not in space.spaces:
            raise ValueError(
                f"NumericMission needs a 'text_observation', and the environment observes {space}"
            )
        require(words, "words is empty: name the words that a mission can have")
        length = whole_number(length, "length", 1)
        self._number = {word: number for number, word in enumerate(words, 1)}
        self._length = length
        mission = spaces.MultiDiscrete([len(self._number) + 1] * length, dtype=np.int64)
        self.observation_space = spaces.Dict(space.spaces | {"text_observation": mission})

    def observation(self, observation: Observation) -> Observation:
        """The observation with its mission as numbers."""
        mission: Any = observation["text_observation"]
        return observation | {"text_observation": self._numbers(mission)}

    def _numbers(self, mission: str) -> np.ndarray:
        words = mission.replace(",", " , ").split()
        require(
            len(words) <= self._length,
            f"the mission {mission!r} has {len(words)} words, at most {self._length} are expected: "
            f"NumericMission(env, length={len(words)}) has room for it",
        )
        unknown = [word for word in words if word not in self._number]
        require(
            not unknown,
            f"the mission {mission!r} has words that NumericMission does not know: "
            f"{', '.join(unknown)}; give all words: NumericMission(env, words=[...])",
        )
        numbers = np.zeros(self._length, np.int64)
        numbers[: len(words)] = [self._number[word] for word in words]
        return numbers
