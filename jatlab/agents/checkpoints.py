"""Agents on disk: a folder with `config.json`, `model.safetensors`, `tokenizer.json` and, if there
is one, `training.json`.

Two layouts are read: ours, and that of the published checkpoint (`jat-project/jat`), which
`export_official` writes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from jatlab.agents.agent import Agent
from jatlab.agents.settings import AgentSettings
from jatlab.model import JatModel
from jatlab.model.checkpoint.hub import find_folder, is_repository
from jatlab.model.checkpoint.names import official_name
from jatlab.model.checkpoint.official import inexpressible, official_values, read_config
from jatlab.model.checkpoint.weights import save_weights
from jatlab.model.tokenization import TextTokenizer
from jatlab.utils.files import ASSETS, write_json

__all__ = ["export_official", "load_agent", "read_config", "save_agent", "shipped_agents"]

SHIPPED = ASSETS / "pretrained"


def shipped_agents() -> list[str]:
    """Names of the agents inside the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/model.safetensors"))


def load_agent(
    name_or_folder: str | os.PathLike = "demo",
    cache_policy: str | None = None,
    device: str = "cpu",
    dtype: torch.dtype | str | None = None,
    **hub,
) -> Agent:
    """The agent that ships under this name, that lies in this folder, or that the hub has as
    OWNER/NAME, such as `jat-project/jat`.

    Weights are mapped, not copied. `dtype` is float32 or bfloat16; unless given, a file in the
    published layout keeps its own, and ours run in float32. `cache_policy`, unless given, is
    `published` for the published layout, what the agent had for one that was exported, else
    `recompute`. `hub` goes to `huggingface_hub.snapshot_download` (revision, token …). Raises
    `FileNotFoundError` where there is none, which says how to go on; `ValueError` where its files
    are damaged or do not belong together.
    """
    folder = _folder(name_or_folder, **hub)
    model = JatModel.from_pretrained(folder, dtype=dtype, device=device)
    tokenizer = TextTokenizer.load(
        folder if (folder / "tokenizer.json").is_file() else model.config.tokenizer
    )
    if tokenizer.vocab_size > model.config.vocab_size:
        raise ValueError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only {model.config.vocab_size}; they do not belong together"
        )
    info = {"name": Path(name_or_folder).name} | _read_json(folder / "training.json")
    settings = AgentSettings.load(folder)
    if cache_policy is not None:
        settings = settings.replace(cache_policy=cache_policy)
    return Agent(model, tokenizer, info, settings)


def save_agent(agent: Agent, folder: str | os.PathLike, dtype: torch.dtype | None = None) -> Path:
    """Write `agent` to `folder`, its weights in `dtype` (say, `torch.bfloat16`); each file is whole
    or not there.
    """
    folder = Path(folder)
    save_weights(agent.model, folder / "model.safetensors", dtype)
    write_json(folder / "config.json", agent.model.config.to_dict())
    _save_rest(agent, folder)
    return folder


def export_official(
    agent: Agent, folder: str | os.PathLike, dtype: torch.dtype | None = None
) -> list[str]:
    """Write `agent` in the published checkpoint's layout: its file names, tensor names and
    `config.json`. `load_agent` gets it back exactly.

    Returns the names of configuration fields that the published model does not have. Where there
    are any, the authors' code cannot run the agent: it would miss tensors, or compute something
    else.
    """
    folder = Path(folder)
    save_weights(agent.model, folder / "model.safetensors", dtype, official_name)
    stored = str(dtype or agent.model.text_embedding.weight.dtype).removeprefix("torch.")
    write_json(
        folder / "config.json",
        official_values(agent.model.config, stored, agent.tokenizer.end_id),
    )
    _save_rest(agent, folder)
    return inexpressible(agent.model.config)


def _save_rest(agent: Agent, folder: Path) -> None:
    agent.tokenizer.save(folder / "tokenizer.json")
    agent.settings.save(folder)
    write_json(
        folder / "training.json", {key: value for key, value in agent.info.items() if key != "name"}
    )


def _folder(name_or_folder: str | os.PathLike, **hub) -> Path:
    shipped = SHIPPED / str(name_or_folder)
    if (shipped / "config.json").is_file():
        return shipped
    if Path(name_or_folder).is_dir() or is_repository(name_or_folder):
        return find_folder(name_or_folder, **hub)
    ships = ", ".join(shipped_agents()) or "none yet"
    parent = Path(name_or_folder).parent
    here = (
        f"; there is a folder {parent}, so this was read as a path, and the hub not asked"
        if parent.name and parent.is_dir()
        else ""
    )
    raise FileNotFoundError(
        f"no agent {str(name_or_folder)!r}: give a folder that `jatlab train` wrote, one that ships ({ships}), or a repository of the hub, "
        f"such as jat-project/jat{here}"
    )


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text()) if path.is_file() else {}
