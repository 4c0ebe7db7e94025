"""Meta-World v3: 50 tasks of a Sawyer arm.

An action is four numbers: the movement of the hand along x, y and z, and the gripper.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import gymnasium as gym
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS
from metaworld.sawyer_xyz_env import SawyerXYZEnv

from jatlab.tasks.env import VectorObservation
from jatlab.tasks.mujoco import RenderedFrames
from jatlab.tasks.task import Task

if TYPE_CHECKING:
    from jatlab.tasks.rendering.cameras import CameraChoice

EPISODE_LENGTH = 100  # the published scores fit 100 steps, not Meta-World's 500


class SeededSawyer(gym.Wrapper):
    """A Meta-World environment whose ``reset(seed)`` draws the positions of goal and object.

    An episode lasts ``length`` steps. ``info["success"]`` is True from the first step on which the
    goal was reached. Actions are clipped to [-1, 1].
    """

    def __init__(self, env: gym.Env, hide_goal: bool = False, length: int = EPISODE_LENGTH):
        super().__init__(env)
        self.length = length
        self._sawyer = cast(SawyerXYZEnv, env)
        # we draw positions ourselves instead of choosing among Meta-World's 50 fixed ones
        self._sawyer._set_task_called = True
        self._sawyer._freeze_rand_vec, self._sawyer.seeded_rand_vec = False, True
        if self._sawyer._partially_observable != hide_goal:
            self._sawyer._partially_observable = hide_goal
            # a cached property, and the one to which step() clips the goal
            del self._sawyer.sawyer_observation_space
        self._steps, self._success = 0, False

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin an episode; without a seed, the random numbers of the last seed go on."""
        if seed is not None:
            self._sawyer.seed(int(seed))  # reset() ignores its seed
        self._steps, self._success = 0, False
        return self.env.reset(options=options)

    def step(self, action: np.ndarray) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Move the hand and the gripper, action (4,)."""
        observation, reward, terminated, _, info = self.env.step(np.clip(action, -1.0, 1.0))
        self._steps += 1
        self._success |= bool(info["success"])
        info = info | {"success": self._success}
        return observation, float(reward), terminated, self._steps >= self.length, info


def make(
    task: Task,
    render_mode: str | None = "rgb_array",
    camera: CameraChoice = None,
    size: int = 480,
    hide_goal: bool = False,
) -> gym.Env:
    """The environment of a Meta-World task.

    The published data hides the goal: its experts' returns are those of an arm that goes to the
    middle of all goals (reach: 644 by hand, 681 published, 858 for an arm that sees the goal). We
    show the goal by default, because only an agent that sees it can imitate a teacher that does.

    Args:
        task: The task.
        render_mode: "rgb_array", or None for an environment that is never rendered.
        camera: See :func:`jatlab.tasks.rendering.backends.make_renderer`.
        size: Width and height of the pictures, in pixels.
        hide_goal: Show zeros in place of the goal.
    """
    env = SeededSawyer(ALL_V3_ENVIRONMENTS[str(task.env_id)](), hide_goal)
    return VectorObservation(RenderedFrames(env, render_mode, camera, size))
