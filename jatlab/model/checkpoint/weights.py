"""A model's weights as safetensors: every tensor is accounted for, and none is copied.

They are written as one file, and read from one or from several with an index (`shards.py`).

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
from jatlab.model.checkpoint.shards import check_tensors, index_of, read_index
from jatlab.utils.checks import require
from jatlab.utils.files import atomic_write

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
STORED = {"F32": torch.float32, "BF16": torch.bfloat16}  # safetensors' names
SHOWN = 8  # differences, of all, in a message
FLOATS = ("F64", "F32", "F16", "BF16")

ModuleT = TypeVar("ModuleT", bound=nn.Module)


def save_weights(
    model: nn.Module,
    path: Path,
    dtype: torch.dtype | str | None = None,
    rename: Callable[[str], str] = str,
) -> None:
    """Write the weights of a model atomically.

    Args:
        model: whose weights they are.
        path: of the safetensors file.
        dtype: in which to store them; None: theirs.
        rename: a tensor's name in the file, from its name in the model.

    Raises:
        ValueError: the weights are 8-bit integers, which only act, or there is no such dtype.
        OSError: if the disk is full or not writable; the file at ``path`` is then unchanged.
    """
    require(
        all(value.dtype != torch.int8 for value in model.state_dict().values()),
        "the agent holds its weights as 8-bit integers, for acting alone: load it without "
        "dtype='int8' and save that",
    )
    kind = _known_dtype(dtype)
    tensors = {
        rename(name): value.detach().to(kind or value.dtype).contiguous()
        for name, value in model.state_dict().items()
    }
    with atomic_write(path) as temporary:
        try:
            save_file(tensors, str(temporary), metadata={"format": "pt"})
        except SafetensorError as error:  # which does not say what it met
            raise OSError(
                f"could not write {path}: {error}. The file that was there is unchanged; free some "
                "space and save again"
            ) from error


def load_weights(model: nn.Module, path: Path) -> None:
    """Copy the weights of a file into those of ``model``, which stay the same tensors.

    (An optimizer may hold them.)

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that is damaged, or whose tensors are not this configuration's; the
            first differences are listed.
    """
    file = WeightFile(path)
    model.load_state_dict(file.read(file.match(model)))


def build_from_file(
    build: Callable[[], ModuleT], file: WeightFile, dtype: torch.dtype | str | None = None
) -> ModuleT:
    """A model with the weights of a file, without the time and memory of initial weights.

    Args:
        build: makes the model.
        file: the weights.
        dtype: float32 or bfloat16; None: see `WeightFile.usual_dtype`.

    Raises:
        ValueError: as `load_weights`, or for another dtype.
    """
    with torch.device("meta"):
        model = build()
    tensors = file.read(file.match(model), _known_dtype(dtype) or file.usual_dtype)
    model.load_state_dict(tensors, assign=True)
    return model


class WeightFile:
    """The header of a safetensors file, or of several; the tensors themselves stay on disk.

    Args:
        path: of the file. Where there is none, the index beside it says which files there are.

    Attributes:
        files: where each tensor is, by name.
        official: whether the tensors have the published names.
        shapes: of each tensor, by name.
        dtypes: of each tensor, in safetensors' words.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is damaged.
    """

    def __init__(self, path: Path):
        self.path = path
        self.files: dict[str, Path] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.dtypes: dict[str, str] = {}
        if path.is_file():
            self._read_header(path)
        elif index_of(path).is_file():
            index = read_index(index_of(path))
            for file in sorted(set(index.values())):
                self._read_header(file)
            check_tensors(index_of(path), index, self.files)
        else:
            raise FileNotFoundError(f"no weights at {path}")
        self.official = is_official(self.files)
        for name in [name for name in self.files if self.official and is_constant(name)]:
            del self.files[name], self.shapes[name], self.dtypes[name]

    def _read_header(self, path: Path) -> None:
        if not path.is_file():
            raise FileNotFoundError(
                f"{index_of(self.path)} names {path.name}, which is not beside it: get all files "
                "of the checkpoint"
            )
        with _open(path) as file:
            names = list(file.keys())
            for name in names:
                twice = f"{name} is in {path} and in {self.files.get(name)}"
                require(name not in self.files, f"{twice}: get the checkpoint again")
                part = file.get_slice(name)
                self.files[name] = path
                self.shapes[name], self.dtypes[name] = tuple(part.get_shape()), part.get_dtype()

    @property
    def usual_dtype(self) -> torch.dtype:
        """The dtype to load: the file's in the published layout, else float32.

        Our small agents are stored in bfloat16 to save space, and run in float32.
        """
        stored = {STORED.get(dtype, torch.float32) for dtype in self.dtypes.values()}
        return stored.pop() if self.official and len(stored) == 1 else torch.float32

    def match(self, model: nn.Module) -> dict[str, str]:
        """For each tensor of ``model`` its name in the file.

        Raises `ValueError`, with what is missing, unexpected or of another shape.
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
        tensors: dict[str, Tensor] = {}
        for path in sorted(set(self.files.values())):
            with _open(path) as file:
                tensors |= {
                    ours: file.get_tensor(name)
                    for ours, name in names.items()
                    if self.files[name] == path and dtype in (None, STORED.get(self.dtypes[name]))
                }
        if dtype is not None:
            for ours in names.keys() - tensors.keys():
                tensors[ours] = self._tensor(names[ours]).to(dtype)
        self._check_finite(tensors)
        return tensors

    def _check_finite(self, tensors: dict[str, Tensor]) -> None:
        """Raise `ValueError` for a weight that is NaN or infinite."""
        wrong = [
            name
            for name, x in tensors.items()
            if x.numel() and not torch.stack(x.aminmax()).isfinite().all()
        ]
        require(
            not wrong,
            f"{self.path}: {len(wrong)} tensors hold NaN or infinity, such as "
            f"{min(wrong, default='')}: the file is damaged, or its training failed",
        )

    def _tensor(self, name: str) -> Tensor:
        with _open(self.files[name]) as file:  # for this tensor only: its pages go with it
            return file.get_tensor(name)

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
        more = f"; and {len(problems) - SHOWN:,} more" if len(problems) > SHOWN else ""
        require(
            not problems,
            f"{self.path} belongs to another configuration ({len(problems):,} tensors differ): "
            + "; ".join(sorted(problems)[:SHOWN])
            + more,
        )

    def _check_tables(self, tables: list[str]) -> None:
        """Raise `ValueError` unless the tensors ``tables`` are the same one."""
        different = [
            name
            for name in tables[1:]
            if not torch.equal(self._tensor(tables[0]), self._tensor(name))
        ]
        if different:
            raise ValueError(
                f"{self.path}: {tables[0]} and {', '.join(different)} are one tensor in JAT, and "
                "differ here: the file is not a checkpoint of it"
            )


def _open(path: Path) -> safe_open:
    try:
        return safe_open(str(path), framework="pt")
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path} is damaged or cut short ({error}): copy it again, or go back to an earlier "
            "checkpoint"
        ) from error


def _known_dtype(dtype: torch.dtype | str | None) -> torch.dtype | None:
    known = DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if dtype is not None and known not in DTYPES.values():
        raise ValueError(
            f"dtype {dtype!r}: weights are kept in {' or '.join(DTYPES)}; only an agent that is "
            "loaded, to act, may have them in int8"
        )
    return known
