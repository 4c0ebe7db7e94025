"""Every task of control under a name of gymnasium's: ``jatlab/babyai-go-to-local-v0``.

Importing this package, or `jatlab.gym`, registers the names, so ``gymnasium.make``,
``gymnasium.make_vec`` and the libraries that are built on them find the tasks::

    import gymnasium
    import jatlab.gym

    env = gymnasium.make("jatlab/mujoco-ant-v0", render_mode="rgb_array")

As everywhere in gymnasium, nothing is rendered unless a render mode is named.
"""

import gymnasium

from jatlab.tasks.env import MAKE_ENV, gym_name
from jatlab.tasks.gym.mission import WORDS, NumericMission
from jatlab.tasks.registry import task_names

__all__ = ["WORDS", "NumericMission", "gym_name", "register_tasks"]


def register_tasks() -> None:
    """Register every task that has no name of gymnasium's yet.

    This happens at import. Call it again for tasks of your own that you registered later.
    """
    for name in task_names():
        if gym_name(name) not in gymnasium.registry:
            gymnasium.register(gym_name(name), MAKE_ENV, kwargs={"name": name, "render_mode": None})


register_tasks()
