"""A model's weights as one safetensors file: every tensor is accounted for, and none is copied.

The names are ours or the published checkpoint's (`names.py`). A loaded weight is mapped: it is the
file's page until someone writes to it. Training changes its own pages, never the file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from jatlab.model.checkpoint.names import TABLE_NAMES, is_constant, is_official, official_name
from jatlab.utils.files import atomic_write

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STORED = {"F32": torch.float32, "BF16": torch.bfloat16}  # safetensors' names
FLOATS = ("F64", "F32", "F16", "BF16")

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def save_weights(
    model: nn.Module,
    path: Path,
    dtype: torch.dtype | None = None,
    rename: Callable[[str], str] = str,
) -> None:
    """Write the weights of a model atomically.

    Args:
        model: whose weights they are.
        path: of the safetensors file.
        dtype: in which to store them; None: theirs.
        rename: a tensor's name in the file, from its name in the model.

    Raises:
        OSError: if the disk is full or not writable; the file at ``path`` is then unchanged.
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
            f"could not write {path}: {error}. The file that was there is unchanged; free some "
            "space and save again"
        ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the weights of a file into those of ``model``, which stay the same tensors.

    (An optimizer may hold them.)

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that is damaged, or whose tensors are not this configuration's; all
            differences are listed.
    """
    file = WeightFile(path)
    model.load_state_dict(file.read(file.match(model)))


def build_from_file(
    build: Callable[[], ModuleT], path: Path, dtype: torch.dtype | str | None = None
) -> ModuleT:
    """A model with the weights of a file, without the time and memory of initial weights.

    Args:
        build: makes the model.
        path: of the safetensors file.
        dtype: float32 or bfloat16; None: see `WeightFile.usual_dtype`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: as `load_weights`, or for another dtype.
    """
    file = WeightFile(path)
    with torch.device("meta"):
        model = build()
    tensors = file.read(file.match(model), _known_dtype(dtype) or file.usual_dtype)
    model.load_state_dict(tensors, assign=True)
    return model


class WeightFile:
    """The header of a safetensors file; the tensors themselves stay on disk.

    Attributes:
        official: whether the tensors have the published names.
        shapes: of each tensor, by name.
        dtypes: of each tensor, in safetensors' words.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        if not path.is_file():
            raise FileNotFoundError(f"no weights at {path}")
        with self._open() as file:
            names = list(file.keys())
            self.official = is_official(names)
            if self.official:
                names = [name for name in names if not is_constant(name)]
            parts = {name: file.get_slice(name) for name in names}
            self.shapes = {name: tuple(part.get_shape()) for name, part in parts.items()}
            self.dtypes = {name: part.get_dtype() for name, part in parts.items()}

    @property
    def usual_dtype(self) -> torch.dtype:
        """The dtype to load: the file's in the published layout, else float32.

        Our small agents are stored in bfloat16 to save space, and run in float32.
        """
        stored = {STORED.get(dtype, torch.float32) for dtype in self.dtypes.values()}
        return stored.pop() if self.official and len(stored) == 1 else torch.float32

    def match(self, model: nn.Module) -> dict[str, str]:
        """For each tensor of ``model`` its name in the file.

        Raises `ValueError`, with all that is missing, unexpected or of another shape.
        """
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        names = {ours: official_name(ours) if self.official else ours for ours in shapes}
        wanted = {names[ours]: shape for ours, shape in shapes.items()}
        tables = [name for name in TABLE_NAMES if name in self.shapes]
        if tables:  # the text table, under any of its names
            wanted |= dict.fromkeys(tables, wanted.pop(TABLE_NAMES[0]))
            names = {
                ours: tables[0] if name in TABLE_NAMES else name for ours, name in names.items()
            }
        self._check_tensors(wanted)
        self._check_tables(tables)
        return names

    def read(self, names: dict[str, str], dtype: torch.dtype | None = None) -> dict[str, Tensor]:
        """The tensors of the file that ``names`` asks for, mapped.

        A tensor that is stored in another ``dtype`` is converted, one after another: no two are in
        memory twice.
        """
        with self._open() as file:
            tensors = {
                ours: file.get_tensor(name)
                for ours, name in names.items()
                if dtype in (None, STORED.get(self.dtypes[name]))
            }
        if dtype is not None:
            for ours in names.keys() - tensors.keys():
                tensors[ours] = self._converted(names[ours], dtype)
        return tensors

    def _converted(self, name: str, dtype: torch.dtype) -> Tensor:
        with self._open() as file:  # opened for this tensor only: its pages are released with it
            return file.get_tensor(name).to(dtype)

    def _check_tensors(self, wanted: dict[str, tuple[int, ...]]) -> None:
        """Raise `ValueError` unless the file has just the tensors that are ``wanted``."""
        problems = [f"missing {name}" for name in wanted.keys() - self.shapes.keys()]
        problems += [f"unexpected {name}" for name in self.shapes.keys() - wanted.keys()]
        for name in wanted.keys() & self.shapes.keys():
            found, shape, dtype = self.shapes[name], wanted[name], self.dtypes[name]
            if found != shape:
                problems.append(
                    f"{name} is {list(found)} in the file and {list(shape)} in the model"
                )
            if dtype not in FLOATS:
                problems.append(f"{name} holds {dtype}, weights are {' or '.join(FLOATS)}")
        if problems:
            raise ValueError(
                f"{self.path} belongs to another configuration ({len(problems)} tensors differ): "
                + "; ".join(sorted(problems))
            )

    def _check_tables(self, tables: list[str]) -> None:
        """Raise `ValueError` unless the tensors ``tables`` are the same one."""
        with self._open() as file:
            different = [
                name
                for name in tables[1:]
                if not torch.equal(file.get_tensor(tables[0]), file.get_tensor(name))
            ]
        if different:
            raise ValueError(
                f"{self.path}: {tables[0]} and {', '.join(different)} are one tensor in JAT, and "
                "differ here: the file is not a checkpoint of it"
            )

    def _open(self) -> safe_open:
        try:
            return safe_open(str(self.path), framework="pt")
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{self.path} is damaged or cut short ({error}): copy it again, or go back to an "
                "earlier checkpoint"
            ) from error


def _known_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    known = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if dtype is not None and known not in DTYPES.values():
        raise ValueError(f"dtype {dtype!r}: weights are loaded in {' or '.join(DTYPES)}")
    return known
