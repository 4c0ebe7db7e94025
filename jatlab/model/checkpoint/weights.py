"""A model's weights as one safetensors file: written whole or not at all, mapped into memory, every
tensor accounted for.

The names are ours or the published checkpoint's (`names.py`). A mapped weight is the file's page
until someone writes to it: there is no second copy, and training changes its own pages, never the
file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jatlab.model.checkpoint.names import TABLE_NAMES, is_constant, is_official, official_name
from jatlab.utils.files import atomic_write

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STORED = {"F32": torch.float32, "BF16": torch.bfloat16}  # safetensors' names
FLOATS = ("F64", "F32", "F16", "BF16")


def save_weights(
    model: nn.Module,
    path: Path,
    dtype: torch.dtype | None = None,
    rename: Callable[[str], str] = str,
) -> None:
    """Write the weights of `model` to `path` in `dtype` (theirs, unless given): to a temporary file
    first, which then takes the name.

    Raises `OSError` where the disk is full or not writable; what was at `path` is still there then.
    """
    tensors = {
        rename(name): value.detach().to(dtype or value.dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    try:
        with atomic_write(path) as temporary:
            save_file(tensors, str(temporary), metadata={"format": "pt"})
    except (OSError, SafetensorError) as error:
        raise OSError(
            f"could not write {path}: {error}. What was there before is untouched; free some space and save again"
        ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the weights of a safetensors file into those of `model`, which stay the same tensors (an
    optimizer may hold them).

    Raises `FileNotFoundError`, or `ValueError` for a file that is damaged, or whose tensors are not
    this configuration's: all are listed.
    """
    file = WeightFile(path)
    model.load_state_dict(file.read(file.match(model)))


def build_from_file(
    build: Callable[[], nn.Module], path: Path, dtype: torch.dtype | str | None = None
) -> nn.Module:
    """The model that `build()` makes, with the weights of a safetensors file, and without the time
    and memory of initial ones.

    In `dtype`, float32 or bfloat16; unless given, as `WeightFile.usual_dtype` says. Raises as
    `load_weights`.
    """
    file = WeightFile(path)
    with torch.device("meta"):
        model = build()
    model.load_state_dict(
        file.read(file.match(model), _known_dtype(dtype) or file.usual_dtype), assign=True
    )
    return model


class WeightFile:
    """A safetensors file whose header has been read: `shapes` and `dtypes` by name. The tensors
    themselves stay on disk.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise FileNotFoundError(f"no weights at {path}")
        with self._open() as file:
            parts = {name: file.get_slice(name) for name in file.keys()}
            self.official = is_official(parts)
            parts = {
                name: part
                for name, part in parts.items()
                if not (self.official and is_constant(name))
            }
            self.shapes = {name: tuple(part.get_shape()) for name, part in parts.items()}
            self.dtypes = {name: part.get_dtype() for name, part in parts.items()}

    @property
    def usual_dtype(self) -> torch.dtype:
        """The file's own dtype in the published layout; else float32, for bfloat16 is how our small
        agents are stored, not how they are run.
        """
        stored = {STORED.get(dtype, torch.float32) for dtype in self.dtypes.values()}
        return stored.pop() if self.official and len(stored) == 1 else torch.float32

    def match(self, model: nn.Module) -> dict[str, str]:
        """For each tensor of `model` its name in the file. Raises `ValueError`, with all that is
        missing, unexpected or of another shape.
        """
        names = {
            ours: official_name(ours) if self.official else ours for ours in model.state_dict()
        }
        wanted = {names[ours]: tuple(value.shape) for ours, value in model.state_dict().items()}
        tables = [name for name in TABLE_NAMES if name in self.shapes]
        if tables:  # the text table, under any of its names
            wanted |= dict.fromkeys(tables, wanted.pop(TABLE_NAMES[0]))
            names = {
                ours: tables[0] if name in TABLE_NAMES else name for ours, name in names.items()
            }
        self._account(wanted)
        self._compare(tables)
        return names

    def read(self, names: dict[str, str], dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """The tensors that `names` asks for, mapped. What is stored in another `dtype` is converted
        one by one: no two are there twice.
        """
        with self._open() as file:
            kept = {
                ours: name
                for ours, name in names.items()
                if dtype in (None, STORED.get(self.dtypes[name]))
            }
            tensors = {ours: file.get_tensor(name) for ours, name in kept.items()}
        return tensors | {
            ours: self._converted(name, dtype) for ours, name in names.items() if ours not in kept
        }

    def _converted(self, name: str, dtype: torch.dtype) -> Tensor:
        with self._open() as file:  # opened for this tensor alone: its pages are let go with it
            return file.get_tensor(name).to(dtype)

    def _account(self, wanted: dict[str, tuple]) -> None:
        problems = [f"missing {name}" for name in wanted.keys() - self.shapes.keys()]
        problems += [f"unexpected {name}" for name in self.shapes.keys() - wanted.keys()]
        for name in wanted.keys() & self.shapes.keys():
            if self.shapes[name] != wanted[name]:
                problems.append(
                    f"{name} is {list(self.shapes[name])} in the file and {list(wanted[name])} in the model"
                )
            if self.dtypes[name] not in FLOATS:
                problems.append(
                    f"{name} holds {self.dtypes[name]}, weights are {' or '.join(FLOATS)}"
                )
        if problems:
            raise ValueError(
                f"{self.path} belongs to another configuration ({len(problems)} tensors differ): "
                + "; ".join(sorted(problems))
            )

    def _compare(self, tables: list[str]) -> None:
        with self._open() as file:
            different = [
                name
                for name in tables[1:]
                if not torch.equal(file.get_tensor(tables[0]), file.get_tensor(name))
            ]
        if different:
            raise ValueError(
                f"{self.path}: {tables[0]} and {', '.join(different)} are one tensor in JAT, and differ here: the file is not a checkpoint of it"
            )

    def _open(self):
        try:
            return safe_open(str(self.path), framework="pt")
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{self.path} is damaged or cut short ({error}): copy it again, or go back to an earlier checkpoint"
            ) from error


def _known_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    known = DTYPES.get(dtype, dtype) if isinstance(dtype, str) else dtype
    if known is not None and known not in DTYPES.values():
        raise ValueError(f"dtype {dtype!r}: weights are loaded in {' or '.join(DTYPES)}")
    return known
