"""`jatlab verify`, `info` and `completion`: about files, this installation, and shells."""

from __future__ import annotations

import argparse
import os
import platform
import shutil
from functools import partial
from pathlib import Path
from typing import TypedDict

from jatlab import __version__
from jatlab.cli.needs import need
from jatlab.cli.options import Commands, add_json, print_json

SHELLS = ("bash", "zsh", "tcsh")
PACKAGES = (  # beside the model; then what the extras `envs`, `train` and `notebooks` add
    "torch",
    "numpy",
    "gymnasium",
    "tokenizers",
    "safetensors",
    "huggingface_hub",
    "ale-py",
    "minigrid",
    "metaworld",
    "mujoco",
    "accelerate",
    "datasets",
    "pyarrow",
    "transformers",
    "ipywidgets",
)


class DeviceInfo(TypedDict):
    """A device that torch can compute on."""

    device: str  # as `--device` takes it
    name: str
    memory_gb: float | None  # None where torch does not know


class Cached(TypedDict):
    """A repository in the cache of the Hugging Face hub."""

    repository: str
    kind: str  # "model" or "dataset"
    size_gb: float


class Info(TypedDict):
    """All that `jatlab info` says; sizes in 10 ** 9 bytes."""

    jatlab: str
    folder: str
    python: str
    system: str
    packages: dict[str, str | None]  # None: not installed
    devices: list[DeviceInfo]
    cores: int
    threads: int
    renderer: str | None  # None: MuJoCo is missing
    disk_free_gb: float
    shipped_agents: list[str]
    hub_cache: str
    cached: list[Cached]


def add_info(commands: Commands) -> None:
    """Add `info`."""
    parser = commands.add(
        "info",
        show_info,
        "versions, devices, threads, renderer, free disk and cached files: what a bug report needs",
    )
    add_json(parser)


def show_info(json: bool) -> None:
    """Print what a bug report needs, as text or as JSON."""
    info = gather()
    print_json(info) if json else print(as_text(info))


def gather() -> Info:
    """Ask the machine and the installation; takes seconds, because torch is imported."""
    import torch

    from jatlab.agents.checkpoints import shipped_agents
    from jatlab.utils.machine import cores, installed_version, limit_threads

    limit_threads()
    hub_cache, cached = _cached()
    return {
        "jatlab": __version__,
        "folder": str(Path(__file__).parents[1]),
        "python": platform.python_version(),
        "system": platform.platform(),
        # torch says itself whether it is a build for CPUs or for CUDA, such as 2.13.0+cpu
        "packages": {name: installed_version(name) for name in PACKAGES}
        | {"torch": torch.__version__},
        "devices": _devices(),
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "renderer": _renderer(),
        "disk_free_gb": _gigabytes(shutil.disk_usage(".").free),
        "shipped_agents": shipped_agents(),
        "hub_cache": hub_cache,
        "cached": cached,
    }


def _devices() -> list[DeviceInfo]:
    import torch

    found: list[DeviceInfo] = [
        {"device": "cpu", "name": platform.machine() or "unknown", "memory_gb": _memory()}
    ]
    if torch.cuda.is_available():
        for number in range(torch.cuda.device_count()):
            facts = torch.cuda.get_device_properties(number)
            memory = _gigabytes(facts.total_memory)
            found.append({"device": f"cuda:{number}", "name": facts.name, "memory_gb": memory})
    if torch.backends.mps.is_available():
        found.append({"device": "mps", "name": "Apple GPU", "memory_gb": None})
    return found


def _memory() -> float | None:
    try:
        return _gigabytes(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _renderer() -> str | None:
    """The backend that draws MuJoCo's scenes, or why there is none."""
    try:
        from jatlab.tasks.rendering.backends import choose_backend

        return choose_backend()
    except ModuleNotFoundError:
        return None
    except (ImportError, ValueError) as error:  # JATLAB_RENDERER demands what there is not
        return f"none: {error}"


def _cached() -> tuple[str, list[Cached]]:
    """The folder of the hub's cache, and the repositories in it, the largest first."""
    from huggingface_hub import CacheNotFound, scan_cache_dir
    from huggingface_hub.constants import HF_HUB_CACHE

    try:
        repositories = scan_cache_dir().repos
    except (CacheNotFound, OSError, ValueError):
        return HF_HUB_CACHE, []
    largest = sorted(repositories, key=lambda one: (-one.size_on_disk, one.repo_id))
    return HF_HUB_CACHE, [
        {"repository": one.repo_id, "kind": one.repo_type, "size_gb": _gigabytes(one.size_on_disk)}
        for one in largest
    ]


def _gigabytes(size: float) -> float:
    return round(size / 1e9, 3)


def as_text(info: Info) -> str:
    """The same for readers, a fact a line."""
    packages = [f"{name} {found or 'missing'}" for name, found in info["packages"].items()]
    lines = [
        ("jatlab", f"{info['jatlab']} in {info['folder']}"),
        ("python", info["python"]),
        ("system", info["system"]),
        *_several("packages", packages),
        *_several("devices", [_device(device) for device in info["devices"]]),
        ("threads", f"{info['threads']} of torch, for {info['cores']} cores of this process"),
        ("renderer", info["renderer"] or "none: MuJoCo is missing"),
        ("free disk", f"{info['disk_free_gb']:,.1f} GB here"),
        ("agents", f"{', '.join(info['shipped_agents'])} (in the package)"),
        ("hub cache", info["hub_cache"]),
        *_several("cached", [_cached_line(one) for one in info["cached"]] or ["nothing"]),
    ]
    return "\n".join(f"{label:<11}{value}".rstrip() for label, value in lines)


def _several(label: str, values: list[str]) -> list[tuple[str, str]]:
    return [(label if first == 0 else "", value) for first, value in enumerate(values)]


def _device(device: DeviceInfo) -> str:
    memory = device["memory_gb"]
    size = "" if memory is None else f", {memory:,.1f} GB"
    return f"{device['device']} ({device['name']}{size})"


def _cached_line(one: Cached) -> str:
    return f"{one['kind']} {one['repository']}, {one['size_gb']:,.3f} GB"


def add_verify(commands: Commands) -> None:
    """Add `verify`."""
    parser = commands.add(
        "verify",
        verify,
        "check the files of agents, checkpoints, recordings and reports against their manifests",
    )
    add = parser.add_argument
    add("folder", help="a folder that jatlab wrote; folders below it are checked too")
    add("--accept", action="store_true", help="write the manifests anew, for the files as they are")


def verify(folder: str, accept: bool) -> int:
    """Check, or accept, the files of a folder; 1 if any is not what was written."""
    from jatlab.utils import manifest

    root = Path(folder)
    if accept:
        print(f"{manifest.accept(root):,} files are listed as they are now")
        return 0
    checked, wrong = manifest.verify(root)
    for path, problem in wrong.items():
        print(f"{path} {problem}")
    print(f"{checked:,} files checked, {len(wrong):,} of them not as they were written")
    return int(bool(wrong))


def add_completion(commands: Commands) -> None:
    """Add `completion`."""
    parser = commands.add(
        "completion",
        partial(completion, commands.parser),
        "print the script with which a shell completes commands",
    )
    parser.add_argument("shell", choices=SHELLS, help="eval the output in this shell's start file")


def completion(parser: argparse.ArgumentParser, shell: str) -> None:
    """Print a shell's script, which shtab makes of the whole parser."""
    need("jatlab completion", "shtab")
    import shtab

    print(shtab.complete(parser, shell))
