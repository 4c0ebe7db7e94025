"""Agents on disk: a folder with `config.json`, `model.safetensors`, `tokenizer.json` and, if there is one, `training.json`."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch

from jatlab.agent import Agent
from jatlab.config import JatConfig
from jatlab.files import write_json
from jatlab.model import JatModel
from jatlab.model.files import load_weights, save_weights
from jatlab.tokenization import TextTokenizer

SHIPPED = Path(__file__).parent / "pretrained"


def shipped_agents() -> list[str]:
    """Names of the agents inside the package."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/model.safetensors"))


def load_agent(name_or_folder: str | os.PathLike = "demo", cache_policy: str = "recompute", device: str = "cpu") -> Agent:
    """The agent that ships under this name, or that `jatlab train` left in this folder.

    Raises `FileNotFoundError` where there is none, `ValueError` where its files are damaged or do not belong together.
    """
    folder = _folder(name_or_folder)
    config = read_config(folder / "config.json")
    model = JatModel(config)
    load_weights(model, folder / "model.safetensors")
    tokenizer = TextTokenizer.load(folder if (folder / "tokenizer.json").is_file() else config.tokenizer)
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens, the model only {config.vocab_size}; they do not belong together")
    return Agent(model.to(device), tokenizer, {"name": Path(name_or_folder).name} | _read_json(folder / "training.json"), cache_policy)


def save_agent(agent: Agent, folder: str | os.PathLike, dtype: torch.dtype | None = None) -> Path:
    """Write `agent` to `folder`, its weights in `dtype` (say, `torch.bfloat16`); each file is whole or not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_weights(agent.model, folder / "model.safetensors", dtype)
    write_json(folder / "config.json", agent.model.config.to_dict())
    agent.tokenizer.save(folder / "tokenizer.json")
    write_json(folder / "training.json", {key: value for key, value in agent.info.items() if key != "name"})
    return folder


def read_config(path: Path) -> JatConfig:
    """The configuration in `config.json`; a `ValueError` says which file is damaged or which field unknown."""
    if not path.is_file():
        raise FileNotFoundError(f"no {path.name} in {path.parent}: an agent's folder holds config.json and model.safetensors")
    try:
        return JatConfig.from_dict(json.loads(path.read_text()))
    except (json.JSONDecodeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from error


def _folder(name_or_folder: str | os.PathLike) -> Path:
    for folder in (SHIPPED / str(name_or_folder), Path(name_or_folder)):
        if (folder / "config.json").is_file():
            return folder
    if Path(name_or_folder).is_dir():
        raise FileNotFoundError(f"{name_or_folder} holds no config.json: an agent's folder has config.json and model.safetensors")
    raise FileNotFoundError(f"no agent {str(name_or_folder)!r}: give a folder that `jatlab train` wrote, or one that ships: {', '.join(shipped_agents()) or 'none yet'}")


def _read_json(path: Path) -> dict:
    return json.loads(path.read_text()) if path.is_file() else {}
