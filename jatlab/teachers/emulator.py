"""An Atari emulator of the teacher's own, in which futures are simulated; the game that is played
is only ever read.

The judged game hands over one thing, ``cloneState()`` without its random numbers: the console's
memory and registers, lives, paddles, frame count. The seed that the game was reset with, the source
of its no-op starts, its sticky actions (switched off in the published environment) are not in it.
Simulated futures run in a second emulator with a random seed of its own, so nothing that the search
does can be seen in the judged game either: not in its console, its stack of pictures or its random
numbers.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import ale_py
import numpy as np
from ale_py import roms

from jatlab.tasks.atari import FRAMES_PER_DECISION
from jatlab.teachers.base import TeacherFailed

OWN_SEED = 57  # of the simulated futures, whatever the judged game's seed


class Step(NamedTuple):
    """One simulated decision of four frames; ``lost``: a life, or the game; ``over``: nothing can
    follow.
    """

    reward: float
    lost: bool
    over: bool


class Emulator:
    """Simulates decisions of the game that ``env`` plays. No picture is looked at: four frames of
    the console, and no more.

    Raises ValueError if ``env`` is not an ALE game, or its ROM is not there.
    """

    def __init__(self, env):
        self._judged = judged(env)
        self.game = Path(env.unwrapped.spec.kwargs["game"]).name
        self.actions = self._judged.getMinimalActionSet()
        self._own = ale_py.ALEInterface()
        self._own.setInt("random_seed", OWN_SEED)
        self._own.setFloat("repeat_action_probability", 0.0)
        self._own.setInt("frame_skip", FRAMES_PER_DECISION)
        self._own.setInt(
            "max_num_frames_per_episode", self._judged.getInt("max_num_frames_per_episode")
        )
        self._own.loadROM(roms.get_rom_path(self.game))

    def watches(self, env) -> bool:
        """Whether this is the emulator for ``env``."""
        return self._judged is judged(env)

    def observe(self) -> ale_py.ALEState:
        """Where the judged game is now, without its random numbers."""
        return self._judged.cloneState(include_rng=False)

    def check(self) -> None:
        """Restore where the judged game is now. Raises TeacherFailed if that does not lead to the
        same state.
        """
        state = self.observe()
        try:
            self.restore(state)
            same = self.clone().equals(state)
        except RuntimeError as error:
            raise TeacherFailed(
                f"{self.game}: the emulator's state cannot be restored ({error}); look-ahead search needs that"
            ) from error
        if not same:
            raise TeacherFailed(
                f"{self.game}: the emulator's state cannot be restored, what came back is another one. Look-ahead search needs the "
                "judged game and its own emulator to be the same game, mode and version of ale-py"
            )

    def restore(self, state: ale_py.ALEState) -> None:
        """Simulate from ``state`` on."""
        self._own.restoreState(state)

    def clone(self) -> ale_py.ALEState:
        """Where the simulation is now."""
        return self._own.cloneState(include_rng=False)

    def memory(self) -> np.ndarray:
        """The simulated console's memory: uint8 (128,)."""
        return self._own.getRAM()

    def step(self, action: int) -> Step:
        """Hold an action of the minimal set for four frames, less if the game ends."""
        lives = self._own.lives()
        reward = self._own.act(self.actions[action])
        over = self._own.game_over()
        lost = self._own.lives() < lives or (
            lives > 0 and self._own.game_over(with_truncation=False)
        )
        return Step(float(reward), lost, over)


def judged(env) -> ale_py.ALEInterface:
    """The console that ``env`` plays on. Raises ValueError if it is not an ALE game."""
    ale = getattr(env.unwrapped, "ale", None)
    if ale is None:
        raise ValueError(
            f"Atari's teachers play games of the Arcade Learning Environment, whose memory they read; {env} is none"
        )
    return ale
