"""MuJoCo's locomotion and reaching tasks, in gymnasium's ``-v4`` environments.

The observations of these versions have the published sizes.
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np

from jatlab.tasks.env import VectorObservation
from jatlab.tasks.task import Task
from jatlab.utils.checks import whole_number

if TYPE_CHECKING:
    from jatlab.tasks.rendering.backends import Renderer
    from jatlab.tasks.rendering.cameras import CameraChoice


class RenderedFrames(gym.Wrapper):
    """Renders a MuJoCo simulation without OpenGL; the first picture makes the renderer.

    Pictures have ``size`` by ``size`` pixels. For ``camera`` see
    :func:`jatlab.tasks.rendering.backends.make_renderer`.
    """

    def __init__(
        self, env: gym.Env, render_mode: str | None, camera: CameraChoice = None, size: int = 480
    ):
        super().__init__(env)
        self._render_mode, self._camera = render_mode, camera
        self._size = whole_number(size, "size", 1)
        self._renderer: Renderer | None = None
        self._backend: str | None = None

    @property
    def render_mode(self) -> str | None:  # type: ignore[override]  # read-only in gym.Wrapper too
        """Either "rgb_array" or None."""
        return self._render_mode

    @property
    def unwrapped(self) -> Any:
        """The simulation, which has a ``model`` and ``data``."""
        return self.env.unwrapped

    def render(self) -> np.ndarray | None:
        """The picture, uint8 (size, size, 3); None without a render mode."""
        if self._render_mode is None:
            return None
        if self._renderer is None:
            from jatlab.tasks.rendering.backends import make_renderer

            self._renderer = make_renderer(
                self.unwrapped.model, self._size, self._size, self._camera, self._backend
            )
        return self._renderer.frame(self.unwrapped.data)

    def draw_fast(self, size: int) -> None:
        """Draw from now on pictures of ``size`` by ``size`` pixels with our painter.

        OpenGL in software takes five times as long. Where JATLAB_RENDERER demands another backend,
        that one draws.
        """
        self._close_renderer()
        self._size = size
        self._backend = None if os.environ.get("JATLAB_RENDERER") else "painter"

    def close(self) -> None:
        """Close the renderer and the environment."""
        self._close_renderer()
        super().close()

    def _close_renderer(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None


def make(
    task: Task,
    render_mode: str | None = "rgb_array",
    camera: CameraChoice = None,
    size: int = 480,
) -> gym.Env:
    """The environment of a MuJoCo task.

    Args:
        task: The task.
        render_mode: "rgb_array", or None for an environment that is never rendered.
        camera: See :func:`jatlab.tasks.rendering.backends.make_renderer`.
        size: Width and height of the pictures, in pixels.
    """
    with warnings.catch_warnings():
        # gymnasium advises v5, whose observations are longer (Ant: 105 instead of 27).
        warnings.simplefilter("ignore", DeprecationWarning)
        env = gym.make(str(task.env_id), disable_env_checker=True)
    return VectorObservation(RenderedFrames(env, render_mode, camera, size))
