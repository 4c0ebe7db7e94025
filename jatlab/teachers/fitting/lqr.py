"""A linear-quadratic regulator for the two pendulums, from MuJoCo's derivatives.

Nothing is searched: one round computes it. Around the upright position the next deviation from it
is ``A x + B u``. MuJoCo differentiates its step to give A and B. The feedback ``u = -K x`` that
minimises the sum of ``x' Q x + u' R u`` over all time follows from Riccati's equation.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import mujoco
import numpy as np
from gymnasium.envs.mujoco import MujocoEnv
from gymnasium.spaces import Box

from jatlab.tasks import get_task, make_env

# where the task's observation holds the deviation: positions (sines of angles, which are as good
# near the top), then velocities
COLUMNS = {"mujoco-pendulum": (0, 1, 2, 3), "mujoco-doublependulum": (0, 1, 2, 5, 6, 7)}


@dataclass(frozen=True)
class LqrSettings:
    """The diagonals of Q, position ``errors`` and ``speeds``, and of R, the ``effort``."""

    errors: tuple[float, ...]
    speeds: tuple[float, ...]
    effort: float


class Lqr:
    """The regulator of a pendulum, in the form of a search of one round."""

    def __init__(self, task_name: str, settings: LqrSettings, seed: int = 0):
        self.columns, self.settings, self.rounds = COLUMNS[task_name], settings, 0
        env = make_env(task_name, render_mode=None)
        assert isinstance(env.action_space, Box)
        self.observations = get_task(task_name).observation_size
        self.limit = env.action_space.high.astype(np.float32)  # (m,)
        self.transition, self.control = linearise(env.unwrapped)
        self.gain = np.zeros((len(self.limit), len(self.columns)))  # K, (m, states)

    def round(self) -> dict[str, float]:
        """Compute the feedback."""
        cost = np.diag([*self.settings.errors, *self.settings.speeds])
        effort = self.settings.effort * np.eye(len(self.limit))
        self.gain = regulator(self.transition, self.control, cost, effort)
        self.rounds += 1
        return {"return": 0.0, "steps": 0}

    def tensors(self) -> dict[str, np.ndarray]:
        """The feedback, for ``jatlab.teachers.policy.Policy``."""
        weight = np.zeros((len(self.limit), self.observations))
        weight[:, self.columns] = -self.gain / self.limit[:, None]
        return {
            "mean": np.zeros(self.observations),
            "scale": np.ones(self.observations),
            "limit": self.limit,
            "weight.0": weight,
            "bias.0": np.zeros(len(self.limit)),
        }

    def state(self) -> dict[str, np.ndarray]:
        """The feedback, once it is computed."""
        return {"rounds": np.array(self.rounds), "gain": self.gain}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a :meth:`state`."""
        self.rounds, self.gain = state["rounds"].item(), state["gain"].copy()


def linearise(env: MujocoEnv) -> tuple[np.ndarray, np.ndarray]:
    """A (states, states) and B (states, m) of one step of an environment at rest.

    It is in its first position. States are positions, then velocities.
    """
    model = copy.deepcopy(env.model)
    # MuJoCo differentiates no Runge-Kutta step; over one step of the physics they hardly differ
    model.opt.integrator = mujoco.mjtIntegrator.mjINT_EULER
    data = mujoco.MjData(model)
    states = 2 * model.nv
    one, control = np.zeros((states, states)), np.zeros((states, model.nu))
    mujoco.mjd_transitionFD(model, data, 1e-6, True, one, control, None, None)
    transition, total = np.eye(states), np.zeros_like(control)
    for _ in range(env.frame_skip):  # the control stays the same for this many steps of the physics
        transition, total = one @ transition, one @ total + control
    return transition, total


def regulator(
    transition: np.ndarray, control: np.ndarray, cost: np.ndarray, effort: np.ndarray
) -> np.ndarray:
    """The feedback of least cost, by iterating Riccati's equation.

    Args:
        transition: A (states, states).
        control: B (states, m).
        cost: Q (states, states).
        effort: R (m, m).

    Returns:
        K (m, states): the control is ``-K x``.

    Raises:
        ValueError: If the iteration does not settle, because not every state can be controlled.
    """
    value = cost
    for _ in range(10_000):
        gain = np.linalg.solve(effort + control.T @ value @ control, control.T @ value @ transition)
        before, value = value, cost + transition.T @ value @ (transition - control @ gain)
        if np.allclose(before, value, rtol=1e-10, atol=0):
            return gain
        if not value.max() < 1e12:
            break
    raise ValueError(
        "Riccati's equation did not settle: is there a state that the control cannot reach?"
    )
