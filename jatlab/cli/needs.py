"""What a command needs beside the model, asked for before it begins to work.

`pip install jatlab` installs the model. Everything else is in the extras of `pyproject.toml`. A
command that lacks a package says so at once and names the extra, instead of failing in the middle.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec

PACKAGES = {  # module: its package, the extra that installs it
    "ale_py": ("ale-py", "envs"),
    "minigrid": ("minigrid", "envs"),
    "metaworld": ("metaworld", "envs"),
    "mujoco": ("mujoco", "envs"),
    "PIL": ("pillow", "envs"),
    "imageio": ("imageio", "envs"),
    "imageio_ffmpeg": ("imageio-ffmpeg", "envs"),
    "accelerate": ("accelerate", "train"),
    "datasets": ("datasets", "train"),
    "pyarrow": ("pyarrow", "train"),
    "pandas": ("datasets", "train"),  # which brings it
    "minari": ("minari[hdf5]", "minari"),
    "h5py": ("minari[hdf5]", "minari"),
    "shtab": ("shtab", "completion"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "trackio": ("trackio", "trackio"),
    "wandb": ("wandb", "wandb"),
    "transformers": ("transformers", "notebooks"),
    "Box2D": ("gymnasium[box2d]", "new-tasks"),
    "gymnasium_robotics": ("gymnasium-robotics", "new-tasks"),
    "highway_env": ("highway-env", "new-tasks"),
}
DOMAINS = {  # what plays, or draws, the tasks of a domain
    "atari": ("ale_py",),
    "babyai": ("minigrid",),
    "metaworld": ("metaworld", "mujoco", "PIL"),
    "mujoco": ("mujoco", "PIL"),
    "vision": ("minigrid", "PIL"),
}
DATA = ("pyarrow",)
PICTURES = ("PIL",)
TRAINING = ("accelerate", "pyarrow")
PLAIN = ("transformers",)  # the published network's trunk
NEW_TASKS = ("Box2D", "gymnasium_robotics", "highway_env")


def need(command: str, *modules: str) -> None:
    """Check that a command's modules can be imported, without importing them.

    Args:
        command: who needs them, such as "jatlab train".
        *modules: names in `PACKAGES`.

    Raises:
        ImportError: some are missing; the message names the packages and the extras.
    """
    missing = [module for module in dict.fromkeys(modules) if not _is_there(module)]
    if missing:
        packages, extras = zip(*(PACKAGES[module] for module in missing), strict=True)
        noun = "package" if len(packages) == 1 else "packages"
        raise ImportError(
            f"{command} needs the {noun} {', '.join(packages)}: "
            f'pip install "jatlab[{",".join(dict.fromkeys(extras))}]"',
            name=missing[0],
        )


def _is_there(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):  # an import hook refuses it, or it is half loaded
        return False


def for_tasks(patterns: str | Iterable[str]) -> list[str]:
    """The modules that play the tasks which names, patterns and domains stand for.

    Raises:
        ValueError: nothing has such a name.
    """
    from jatlab.tasks import domain_of, expand

    domains = dict.fromkeys(domain_of(name) for name in expand(patterns))
    return [module for domain in domains for module in DOMAINS.get(domain, ())]
