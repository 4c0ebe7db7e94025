"""Atari 2600 games as the published agents saw them: four frames a decision, four small grey
pictures, whole games.

One episode is one full game with raw rewards. It starts with 1 to 30 frames of doing nothing, then
(where the game has a FIRE button) actions 1 and 2. A decision holds its action for four frames; the
pixel-wise maximum of the last two, because sprites flicker, is resized to 84x84 and turned grey. A
lost life continues the same game: one decision of doing nothing, actions 1 and 2 again, and a stack
filled with the picture that follows.
"""

import ale_py
import gymnasium as gym
import numpy as np

from jatlab.tasks.registry import Task
from jatlab.tasks.table import FRAMES

gym.register_envs(ale_py)
ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner for every environment

FRAMES_PER_DECISION = 4
MAX_NOOPS = 30
# the published limit of that game; the others keep ALE's 108,000 frames (30 minutes)
MONTEZUMA_FRAMES = 18_000


def _area_taps(size: int, target: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Resizing by area as a few (source index, weight) pairs per target pixel; a pixel cut by a
    border counts in part.
    """
    scale = size / target
    start, end = np.arange(target) * scale, (np.arange(target) + 1) * scale
    taps = []
    for k in range(int(np.ceil(scale)) + 1):
        source = np.floor(start + 1e-9).astype(int) + k
        covered = np.minimum(end, source + 1) - np.maximum(start, source)
        taps.append(
            (np.minimum(source, size - 1), (np.maximum(covered, 0) / scale).astype(np.float32))
        )
    return [(index, weight) for index, weight in taps if weight.max() > 1e-6]


class Shrink:
    """An RGB screen uint8 (h, w, 3) to a grey picture uint8 (84, 84): area averages of each colour,
    then luma.
    """

    def __init__(self, height: int, width: int):
        self.rows = [(index, weight[:, None]) for index, weight in _area_taps(height, FRAMES[1])]
        columns = _area_taps(width, FRAMES[2])
        # Colours are interleaved, so that a row is one flat vector of 3 * width values.
        self.columns = [
            ((3 * index[:, None] + np.arange(3)).reshape(-1), np.repeat(weight, 3))
            for index, weight in columns
        ]

    def __call__(self, screen: np.ndarray) -> np.ndarray:
        flat = screen.reshape(len(screen), -1)  # (h, 3 w)
        rows = sum(flat[index] * weight for index, weight in self.rows)  # (84, 3 w)
        small = sum(
            rows.take(index, axis=1) * weight for index, weight in self.columns
        )  # (84, 3 * 84)
        red, green, blue = (
            np.rint(small).astype(np.int32).reshape(*FRAMES[1:], 3).transpose(2, 0, 1)
        )
        return ((9798 * red + 19235 * green + 3735 * blue + 16384) >> 15).astype(
            np.uint8
        )  # 0.299, 0.587, 0.114


class AtariGame(gym.Wrapper):
    """An ALE environment (frameskip 1) with the published preprocessing; ``image_observation`` is
    uint8 (4, 84, 84), newest last.

    Without ``pictures`` the stack stays black: most of the time goes into them, and who reads the
    console's memory needs none. A decision lasts ``frames`` frames.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # 60 frames a second, 4 a decision

    def __init__(self, env: gym.Env, pictures: bool = True, frames: int = FRAMES_PER_DECISION):
        super().__init__(env)
        self.pictures, self.frames = pictures, frames
        self._ale = env.unwrapped.ale
        self._actions = self._ale.getMinimalActionSet()
        self._opening = (1, 2) if "FIRE" in env.unwrapped.get_action_meanings() else ()
        self._shrink = Shrink(*self._ale.getScreenDims())
        self._stack = np.zeros(FRAMES, dtype=np.uint8)
        self.observation_space = gym.spaces.Dict(
            {"image_observation": gym.spaces.Box(0, 255, FRAMES, np.uint8)}
        )

    def reset(self, *, seed=None, options=None):
        _, info = self.env.reset(seed=seed, options=options)
        self._begin(self.unwrapped.np_random)
        return self._observation(), info

    def restart(self, seed: int) -> None:
        """Another game, without the tenth of a second in which ``reset(seed=…)`` loads it anew; its
        start is not that of ``reset`` with this seed.
        """
        self._ale.reset_game()
        self._begin(np.random.default_rng(seed))

    def _begin(self, rng: np.random.Generator) -> None:
        for _ in range(rng.integers(1, MAX_NOOPS + 1)):
            self._ale.act(ale_py.Action.NOOP)
        self._restart_if_over()
        screen = self._ale.getScreenRGB()
        for action in self._opening:
            _, screen = self._hold(action)
            self._restart_if_over()
        self._fill(screen)

    def step(self, action):
        lives = self._ale.lives()
        reward, screen = self._hold(action)
        if self._ale.lives() < lives and not self._ale.game_over():
            bonus, screen = self._next_life()
            reward += bonus
            self._fill(screen)
        elif self.pictures:
            self._stack[:-1] = self._stack[1:]
            self._stack[-1] = self._shrink(screen)
        over, truncated = self._ale.game_over(with_truncation=False), self._ale.game_truncated()
        return self._observation(), float(reward), over, truncated, {"lives": self._ale.lives()}

    def _fill(self, screen: np.ndarray | None) -> None:
        """A stack of one picture."""
        if self.pictures:
            self._stack[:] = self._shrink(screen)

    def _hold(self, action: int) -> tuple[float, np.ndarray | None]:
        """Holds an action for a decision's frames, less if the game ends: the reward, and the
        maximum of the last two screens (None without pictures).
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

    def _observation(self) -> dict:
        return {"image_observation": self._stack.copy()}


def make(task: Task, render_mode: str | None = "rgb_array", pictures: bool = True) -> gym.Env:
    """The environment of an Atari task. Actions never stick, and index the game's minimal action
    set. ``pictures=False``: see `AtariGame`.
    """
    limit = (
        {"max_num_frames_per_episode": MONTEZUMA_FRAMES}
        if task.name == "atari-montezumarevenge"
        else {}
    )
    env = gym.make(
        task.env_id,
        frameskip=1,
        repeat_action_probability=0.0,
        render_mode=render_mode,
        disable_env_checker=True,
        **limit,
    )
    return AtariGame(env, pictures)
