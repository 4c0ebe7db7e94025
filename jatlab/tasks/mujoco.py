"""MuJoCo's locomotion and reaching bodies, in gymnasium's ``-v4`` environments, whose observations
have the published sizes.
"""

import os
import warnings

import gymnasium as gym

from jatlab.tasks.env import VectorObservation
from jatlab.tasks.registry import Task


class Frames(gym.Wrapper):
    """Pictures of a MuJoCo simulation that need no OpenGL; the renderer is made at the first one.

    ``camera`` as in :func:`jatlab.tasks.rendering.backends.make_renderer`; pictures are ``size`` by
    ``size`` pixels.
    """

    def __init__(self, env: gym.Env, render_mode: str | None, camera=None, size: int = 480):
        super().__init__(env)
        self._render_mode, self._camera, self._size, self._renderer = (
            render_mode,
            camera,
            size,
            None,
        )
        self._backend = None

    @property
    def render_mode(self) -> str | None:
        return self._render_mode

    def render(self):
        if self._render_mode is None:
            return None
        if self._renderer is None:
            from jatlab.tasks.rendering.backends import make_renderer

            self._renderer = make_renderer(
                self.unwrapped.model, self._size, self._size, self._camera, self._backend
            )
        return self._renderer.frame(self.unwrapped.data)

    def draw_fast(self, size: int) -> None:
        """From now on, pictures of `size` by `size` pixels by our painter, unless JATLAB_RENDERER
        demands another: OpenGL in software takes five times as long.
        """
        if self._renderer is not None:
            self._renderer.close()
        self._renderer, self._size = None, size
        self._backend = None if os.environ.get("JATLAB_RENDERER") else "painter"

    def close(self):
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
        super().close()


def make(
    task: Task, render_mode: str | None = "rgb_array", camera=None, size: int = 480
) -> gym.Env:
    """The environment of a MuJoCo task."""
    with warnings.catch_warnings():
        # gymnasium advises v5, whose observations are longer (Ant: 105 instead of 27).
        warnings.simplefilter("ignore", DeprecationWarning)
        env = gym.make(task.env_id, disable_env_checker=True)
    return VectorObservation(Frames(env, render_mode, camera, size))
