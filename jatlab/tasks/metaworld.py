"""Meta-World v3: a Sawyer arm, 50 tasks, four numbers as action (hand movement x, y, z and
gripper).
"""

import gymnasium as gym
import numpy as np
from metaworld.env_dict import ALL_V3_ENVIRONMENTS

from jatlab.tasks.env import VectorObservation
from jatlab.tasks.mujoco import Frames
from jatlab.tasks.registry import Task

EPISODE_LENGTH = 100  # the published scores fit 100 steps, not Meta-World's 500


class SeededSawyer(gym.Wrapper):
    """A Meta-World environment whose ``reset(seed)`` draws goal and object positions, and that
    lasts ``length`` steps.

    ``info["success"]`` is True from the first step on which the goal was reached. Actions are
    clipped to [-1, 1].
    """

    def __init__(self, env: gym.Env, hide_goal: bool = False, length: int = EPISODE_LENGTH):
        super().__init__(env)
        self.length = length
        # we draw positions ourselves instead of choosing among Meta-World's 50 fixed ones
        env._set_task_called = True
        env._freeze_rand_vec, env.seeded_rand_vec = False, True
        if env._partially_observable != hide_goal:
            env._partially_observable = hide_goal
            del env.sawyer_observation_space  # a cached property: step() clips the goal to it
        self._steps, self._success = 0, False

    def reset(self, *, seed=None, options=None):
        if seed is not None:
            self.env.seed(int(seed))  # reset() ignores its own seed
        self._steps, self._success = 0, False
        return self.env.reset(options=options)

    def step(self, action):
        observation, reward, terminated, _, info = self.env.step(np.clip(action, -1.0, 1.0))
        self._steps += 1
        self._success |= bool(info["success"])
        return (
            observation,
            reward,
            terminated,
            self._steps >= self.length,
            info | {"success": self._success},
        )


def make(
    task: Task,
    render_mode: str | None = "rgb_array",
    camera=None,
    size: int = 480,
    hide_goal: bool = False,
) -> gym.Env:
    """The environment of a Meta-World task.

    ``hide_goal=True`` shows zeros in place of the goal. The published data does so: its experts'
    returns are those of an arm that goes to the middle of the goals (reach: 644 by hand, 681
    published, 858 for an arm that sees the goal). We show it by default, since a demonstrator that
    sees the goal can only be imitated by one who sees it too.
    """
    env = SeededSawyer(ALL_V3_ENVIRONMENTS[task.env_id](), hide_goal)
    return VectorObservation(Frames(env, render_mode, camera, size))
