"""A model's weights as one safetensors file: written whole or not at all, read with every tensor accounted for."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from jatlab.files import whole_file


def save_weights(model: nn.Module, path: Path, dtype: torch.dtype | None = None) -> None:
    """Write the weights of `model` to `path` in `dtype` (theirs, unless given): to a temporary file first, which then takes the name.

    Raises `OSError` where the disk is full or not writable; what was at `path` is still there then.
    """
    tensors = {name: value.detach().to(dtype or value.dtype).contiguous() for name, value in model.state_dict().items()}
    try:
        with whole_file(path) as temporary:
            save_file(tensors, str(temporary), metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise OSError(f"could not write {path}: {error}. What was there before is untouched; free some space and save again") from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Fill `model` from a safetensors file.

    Raises `FileNotFoundError`, or `ValueError` for a file that is damaged, or whose tensors are not this configuration's: all are listed.
    """
    tensors = _read(path)
    wanted = model.state_dict()
    problems = [f"missing {name}" for name in wanted.keys() - tensors.keys()]
    problems += [f"unexpected {name}" for name in tensors.keys() - wanted.keys()]
    problems += [
        f"{name} is {list(tensors[name].shape)} in the file and {list(wanted[name].shape)} in the model"
        for name in wanted.keys() & tensors.keys()
        if tensors[name].shape != wanted[name].shape
    ]
    if problems:
        raise ValueError(f"{path} belongs to another configuration ({len(problems)} tensors differ): " + "; ".join(sorted(problems)))
    model.load_state_dict(tensors)


def _read(path: Path) -> dict[str, torch.Tensor]:
    if not path.is_file():
        raise FileNotFoundError(f"no weights at {path}")
    try:
        return load_file(str(path))
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path} is damaged or cut short ({error}): copy it again, or go back to an earlier checkpoint") from error
