"""Agents on disk: a folder with the network, its tokenizer, how it plays, and how it came about.

The files are `config.json`, `model.safetensors`, `tokenizer.json`, `agent.json` (see
`jatlab.agents.settings`) and `training.json`. Two layouts are read: ours, and that of the published
checkpoint (`jat-project/jat`), which `export_official` writes.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from jatlab.agents.agent import Agent
from jatlab.agents.settings import AgentSettings
from jatlab.agents.travelling import SEALED
from jatlab.model import JatModel
from jatlab.model.checkpoint.hub import find_folder, is_repository
from jatlab.model.checkpoint.names import official_name
from jatlab.model.checkpoint.official import inexpressible, official_values, read_config
from jatlab.model.checkpoint.weights import save_weights
from jatlab.model.linear.int8 import to_int8
from jatlab.model.tokenization import TextTokenizer
from jatlab.utils.checks import require
from jatlab.utils.devices import choose_device
from jatlab.utils.files import ASSETS, expanded, read_json, write_json
from jatlab.utils.manifest import check_files

__all__ = ["export_official", "load_agent", "read_config", "save_agent", "shipped_agents"]

SHIPPED = ASSETS / "pretrained"
NO_DEMO = (
    "the demo's agent does not ship with the package: `jatlab demo` (or `make demo`) makes it in "
    "about six minutes and writes it to runs/demo/agent. Then load_agent('runs/demo/agent') "
    "finds it, and so does every command, such as `jatlab play runs/demo/agent babyai-go-to-obj`. "
    "What ships is 'jatlab-mini', which plays the demo's tasks too"
)


def shipped_agents() -> list[str]:
    """Names of the agents inside the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/model.safetensors"))


def load_agent(
    name_or_folder: str | os.PathLike = "jatlab-mini",
    cache_policy: str | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | str | None = None,
    **hub: Any,
) -> Agent:
    """An agent by its name or from its folder.

    Args:
        name_or_folder: the name of a shipped agent, a folder, or a repository of the hub as
            OWNER/NAME, such as `jat-project/jat`.
        cache_policy: what happens when the memory is full, see `jatlab.model.memory`; None: the
            agent's, which is `published` for an agent in the published layout.
        device: where the weights go: auto, cpu, cuda, cuda:1, … or mps, see
            `jatlab.utils.devices`. On a CPU they are mapped from the file, not copied.
        dtype: float32 or bfloat16; None: that of the file in the published layout, else float32.
            int8 acts fastest on a CPU, see `jatlab.model.linear.int8`; such an agent can
            neither be trained nor saved.
        hub: options of `huggingface_hub.snapshot_download` (revision, token, …).

    Raises:
        FileNotFoundError: if there is no such agent; the message says how to go on.
        ValueError: if its files are damaged, do not belong together or are not what the folder's
            manifest lists, there is no such device or dtype, or it cannot compute in int8.
    """
    place = choose_device(device)
    folder = _folder(name_or_folder, **hub)
    check_files(folder, SEALED)
    int8 = dtype in ("int8", torch.int8)
    wanted = torch.float32 if int8 else dtype
    model = JatModel.from_pretrained(folder, dtype=wanted, device=str(place))
    if int8:
        to_int8(model)
    own = (folder / "tokenizer.json").is_file()
    tokenizer = TextTokenizer.load(folder if own else model.config.tokenizer)
    require(
        tokenizer.vocab_size <= model.config.vocab_size,
        f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only "
        f"{model.config.vocab_size}; they do not belong together",
    )
    told = folder / "training.json"
    info = {"name": Path(name_or_folder).name} | (read_json(told) if told.is_file() else {})
    settings = AgentSettings.load(folder)
    if cache_policy is not None:
        settings = settings.replace(cache_policy=cache_policy)
    agent = Agent(model, tokenizer, info, settings)
    card = folder / "README.md"
    agent.card = card.read_text(encoding="utf-8") if card.is_file() else None
    return agent


def save_agent(
    agent: Agent, folder: str | os.PathLike, dtype: torch.dtype | str | None = None
) -> Path:
    """Write an agent; each file is written atomically.

    Args:
        agent: what to write.
        folder: where; it is made if need be.
        dtype: of the stored weights, float32 or bfloat16; None: theirs.

    Returns:
        The folder.

    Raises:
        ValueError: for another dtype, or an agent that was loaded in int8.
    """
    folder = expanded(folder)
    save_weights(agent.model, folder / "model.safetensors", dtype)
    write_json(folder / "config.json", agent.model.config.to_dict())
    agent.save_beside(folder)
    return folder


def export_official(
    agent: Agent, folder: str | os.PathLike, dtype: torch.dtype | str | None = None
) -> list[str]:
    """Write an agent in the published checkpoint's layout, which `load_agent` reads back exactly.

    Args:
        agent: what to write.
        folder: gets the published file names, tensor names and `config.json`.
        dtype: of the stored weights, float32 or bfloat16; None: theirs.

    Returns:
        Names of configuration fields that the published model does not have. Where there are any,
        the authors' code cannot run the agent: it would miss tensors, or compute something else.
    """
    folder, config = expanded(folder), agent.model.config
    save_weights(agent.model, folder / "model.safetensors", dtype, official_name)
    stored = str(dtype or agent.model.text_embedding.weight.dtype).removeprefix("torch.")
    write_json(folder / "config.json", official_values(config, stored, agent.tokenizer.end_id))
    agent.save_beside(folder)
    return inexpressible(config)


def _folder(name_or_folder: str | os.PathLike, **hub: Any) -> Path:
    shipped = SHIPPED / str(name_or_folder)
    if (shipped / "config.json").is_file():
        return shipped
    if expanded(name_or_folder).is_dir() or is_repository(name_or_folder):
        return find_folder(name_or_folder, **hub)
    if str(name_or_folder) == "demo":
        raise FileNotFoundError(NO_DEMO)
    ships = ", ".join(shipped_agents()) or "none yet"
    parent = expanded(name_or_folder).parent
    as_path = f"; there is a folder {parent}, so this was read as a path, and the hub not asked"
    raise FileNotFoundError(
        f"no agent {str(name_or_folder)!r}: give a folder that `jatlab train` wrote, one that "
        f"ships ({ships}), or a repository of the hub, such as jat-project/jat"
        + (as_path if parent.name and parent.is_dir() else "")
    )
