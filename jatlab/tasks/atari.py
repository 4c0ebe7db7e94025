"""Atari 2600 games as the published agents saw them: whole games, four grey frames a decision.

One episode is one full game with raw rewards. It starts with 1 to 30 frames without action, then
(where the game has a FIRE button) actions 1 and 2. A decision holds its action for four frames. The
pixel-wise maximum of the last two, because sprites flicker, is resized to 84x84 and turned grey. A
lost life continues the same game: one decision without action, actions 1 and 2 again, and a stack
filled with the frame that follows.
"""

from functools import reduce
from typing import Any, cast

import ale_py
import gymnasium as gym
import numpy as np

from jatlab.tasks.table import FRAMES
from jatlab.tasks.task import Observation, Task

gym.register_envs(ale_py)
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner for every environment

FRAMES_PER_DECISION = 4
MAX_NOOPS = 30
# the published limit of that game; the others keep ALE's 108,000 frames (30 minutes)
MONTEZUMA_FRAMES = 18_000
LUMA = np.array([9798, 19235, 3735], np.int32)  # 0.299, 0.587, 0.114 in units of 2 ** -15

# For every target pixel one source pixel, (target,) int64, and its weight, (target,) float32.
Tap = tuple[np.ndarray, np.ndarray]


def _area_taps(size: int, target: int) -> list[Tap]:
    """Resizing by area, as a weighted sum of a few source pixels per target pixel.

    A source pixel that the border of a target pixel cuts counts in part.
    """
    scale = size / target
    start, end = np.arange(target) * scale, (np.arange(target) + 1) * scale
    taps = []
    for k in range(int(np.ceil(scale)) + 1):
        source = np.floor(start + 1e-9).astype(int) + k
        covered = np.minimum(end, source + 1) - np.maximum(start, source)
        weight = (np.maximum(covered, 0) / scale).astype(np.float32)
        taps.append((np.minimum(source, size - 1), weight))
    return [(index, weight) for index, weight in taps if weight.max() > 1e-6]


class Shrink:
    """An RGB screen uint8 (h, w, 3) to a grey frame uint8 (84, 84).

    Each colour is averaged by area, then the three become luma.
    """

    def __init__(self, height: int, width: int):
        self.rows = [(index, weight[:, None]) for index, weight in _area_taps(height, FRAMES[1])]
        # Colours are interleaved, so that a row is one flat vector of 3 * width values.
        self.columns = [
            ((3 * index[:, None] + np.arange(3)).reshape(-1), np.repeat(weight, 3))
            for index, weight in _area_taps(width, FRAMES[2])
        ]

    def __call__(self, screen: np.ndarray) -> np.ndarray:
        """The grey frame of a screen."""
        flat = screen.reshape(len(screen), -1)  # (h, 3 w)
        rows = reduce(np.add, (flat[index] * weight for index, weight in self.rows))  # (84, 3 w)
        parts = (rows.take(index, axis=1) * weight for index, weight in self.columns)
        small = reduce(np.add, parts)  # (84, 3 * 84)
        colours = np.rint(small).astype(np.int32).reshape(*FRAMES[1:], 3)  # (84, 84, 3)
        red, green, blue = colours.transpose(2, 0, 1)
        luma = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
        return ((luma + (1 << 14)) >> 15).astype(np.uint8)


class AtariGame(gym.Wrapper):
    """An ALE environment (frameskip 1) with the published preprocessing.

    ``image_observation`` is uint8 (4, 84, 84), the newest frame last. A decision lasts ``frames``
    frames. Without ``pictures`` the stack stays black: pictures take most of the time, and a policy
    that reads the console's memory needs none.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # 60 frames a second, 4 a decision

    def __init__(self, env: gym.Env, pictures: bool = True, frames: int = FRAMES_PER_DECISION):
        super().__init__(env)
        self.pictures, self.frames = pictures, frames
        game = cast(ale_py.AtariEnv, env.unwrapped)
        self._ale = game.ale
        self._actions = self._ale.getMinimalActionSet()
        self._opening = (1, 2) if "FIRE" in game.get_action_meanings() else ()
        self._shrink = Shrink(*self._ale.getScreenDims())
        self._stack = np.zeros(FRAMES, dtype=np.uint8)
        pixels = gym.spaces.Box(0, 255, FRAMES, np.uint8)
        self.observation_space = gym.spaces.Dict({"image_observation": pixels})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin a new game."""
        _, info = self.env.reset(seed=seed, options=options)
        self._begin(self.unwrapped.np_random)
        return self._observation(), info

    def restart(self, seed: int) -> None:
        """Begin another game, faster than ``reset``, which loads the game anew (0.1 seconds).

        The game's start is not that of ``reset`` with this seed.
        """
        self._ale.reset_game()
        self._begin(np.random.default_rng(seed))

    def _begin(self, rng: np.random.Generator) -> None:
        for _ in range(rng.integers(1, MAX_NOOPS + 1)):
            self._ale.act(ale_py.Action.NOOP)
        self._restart_if_over()
        screen: np.ndarray | None = self._ale.getScreenRGB()
        for action in self._opening:
            _, screen = self._hold(action)
            self._restart_if_over()
        self._fill(screen)

    def step(self, action: int) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Hold an action for one decision."""
        lives = self._ale.lives()
        reward, screen = self._hold(action)
        if self._ale.lives() < lives and not self._ale.game_over():
            bonus, screen = self._next_life()
            reward += bonus
            self._fill(screen)
        elif screen is not None:
            self._stack[:-1] = self._stack[1:]
            self._stack[-1] = self._shrink(screen)
        over, truncated = self._ale.game_over(with_truncation=False), self._ale.game_truncated()
        return self._observation(), float(reward), over, truncated, {"lives": self._ale.lives()}

    def _fill(self, screen: np.ndarray | None) -> None:
        """Fill the stack with one frame; None without pictures."""
        if self.pictures and screen is not None:
            self._stack[:] = self._shrink(screen)

    def _hold(self, action: int) -> tuple[float, np.ndarray | None]:
        """Hold an action for a decision's frames, or until the game ends.

        Returns the reward, and the maximum of the last two screens (None without pictures).
        """
        reward, screen = 0.0, None
        for frame in range(self.frames):
            reward += self._frame(self._actions[action])
            if self._ale.game_over():
                break
            if self.pictures and frame == self.frames - 2:
                screen = self._ale.getScreenRGB()
        if not self.pictures:
            return reward, None
        last = self._ale.getScreenRGB()
        return reward, last if screen is None else np.maximum(screen, last)

    def _frame(self, action: ale_py.Action) -> float:
        return self._ale.act(action)

    def _next_life(self) -> tuple[float, np.ndarray | None]:
        reward, screen = self._hold(0)
        for action in self._opening:
            if not self._ale.game_over():
                bonus, screen = self._hold(action)
                reward += bonus
        return reward, screen

    def _restart_if_over(self) -> None:
        if self._ale.game_over():
            self._ale.reset_game()

    def _observation(self) -> Observation:
        return {"image_observation": self._stack.copy()}


def make(task: Task, render_mode: str | None = "rgb_array", pictures: bool = True) -> gym.Env:
    """The environment of an Atari task.

    Actions never stick, and count through the game's minimal action set. For ``pictures=False`` see
    `AtariGame`.
    """
    limits: dict[str, int] = {}
    if task.name == "atari-montezumarevenge":
        limits["max_num_frames_per_episode"] = MONTEZUMA_FRAMES
    env = gym.make(
        str(task.env_id),
        frameskip=1,
        repeat_action_probability=0.0,
        render_mode=render_mode,
        disable_env_checker=True,
        **limits,
    )
    return AtariGame(env, pictures)
