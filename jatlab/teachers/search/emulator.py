"""A second Atari emulator, in which futures are simulated; the game that is played is only read.

The judged game hands over one thing, ``cloneState()`` without its random numbers: the console's
memory and registers, lives, paddles, frame count. That does not contain the seed of the game, the
source of its no-op starts, or its sticky actions (switched off in the published environment).

The second emulator has a separate random seed. So the judged game does not see what the search
does either: not in its console, its stack of pictures or its random numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import ale_py
import numpy as np
from ale_py import roms

from jatlab.tasks.atari import FRAMES_PER_DECISION
from jatlab.teachers.base import TeacherFailed

if TYPE_CHECKING:
    import gymnasium as gym

SIMULATION_SEED = 57  # whatever the judged game's seed


class Step(NamedTuple):
    """One simulated decision of four frames."""

    reward: float
    lost: bool  # a life, or the game
    over: bool  # nothing can follow


class Emulator:
    """Simulates decisions of the game that ``env`` plays, without pictures.

    Raises ValueError if ``env`` is not an ALE game, or its ROM is missing.
    """

    def __init__(self, env: gym.Env):
        self._judged = judged(env)
        spec = env.unwrapped.spec
        assert spec is not None  # gymnasium.make, which makes ALE games, sets it
        self.game = Path(spec.kwargs["game"]).name
        self.actions = self._judged.getMinimalActionSet()
        limit = "max_num_frames_per_episode"
        self._simulated = ale_py.ALEInterface()
        self._simulated.setInt("random_seed", SIMULATION_SEED)
        self._simulated.setFloat("repeat_action_probability", 0.0)
        self._simulated.setInt("frame_skip", FRAMES_PER_DECISION)
        self._simulated.setInt(limit, self._judged.getInt(limit))
        self._simulated.loadROM(self._rom())

    def _rom(self) -> Path:
        path = roms.get_rom_path(self.game)
        if path is None:
            raise ValueError(f"ale-py has no ROM of {self.game}")
        return path

    def watches(self, env: gym.Env) -> bool:
        """Whether this is the emulator for ``env``."""
        return self._judged is judged(env)

    def observe(self) -> ale_py.ALEState:
        """Where the judged game is now, without its random numbers."""
        return self._judged.cloneState(include_rng=False)

    def check(self) -> None:
        """Restore where the judged game is now.

        Raises TeacherFailed if that does not lead to the same state.
        """
        state = self.observe()
        try:
            self.restore(state)
            same = self.clone().equals(state)
        except RuntimeError as error:
            raise TeacherFailed(
                f"{self.game}: the emulator's state cannot be restored ({error}); "
                "look-ahead search needs that"
            ) from error
        if not same:
            raise TeacherFailed(
                f"{self.game}: the emulator's state cannot be restored: another state came back. "
                "The game that is played and the emulator of the look-ahead search must be the "
                "same game, mode and version of ale-py"
            )

    def restore(self, state: ale_py.ALEState) -> None:
        """Simulate from ``state`` on."""
        self._simulated.restoreState(state)

    def clone(self) -> ale_py.ALEState:
        """Where the simulation is now."""
        return self._simulated.cloneState(include_rng=False)

    def memory(self) -> np.ndarray:
        """The simulated console's memory: uint8 (128,)."""
        return self._simulated.getRAM()

    def step(self, action: int) -> Step:
        """Hold an action of the minimal set for four frames, or until the game ends."""
        lives = self._simulated.lives()
        reward = self._simulated.act(self.actions[action])
        over = self._simulated.game_over()
        ended = lives > 0 and self._simulated.game_over(with_truncation=False)
        return Step(float(reward), self._simulated.lives() < lives or ended, over)


def judged(env: gym.Env) -> ale_py.ALEInterface:
    """The console that ``env`` plays on. Raises ValueError if it is not an ALE game."""
    ale = getattr(env.unwrapped, "ale", None)
    if ale is None:
        raise ValueError(
            "Atari's teachers play games of the Arcade Learning Environment, whose memory they "
            f"read; {env} is not one of them"
        )
    return ale
