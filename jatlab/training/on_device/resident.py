"""A task's windows in the memory of a device, so that no batch has to travel there.

`WindowSource` gathers a batch with NumPy and the trainer copies it to the device. A GPU that trains
a small model waits for both. Here the columns of all tasks of a domain lie on the device, and a
batch is gathered, padded and mirrored there: fixed shapes, no copy, no synchronisation.

`resident` turns a source into its `Resident` form. Batches hold what `WindowSource.batch` and
`MixedSource.batch` would give for the same windows, padded to the longest window of the source.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import torch
from torch import Tensor

from jatlab.data.language.pictures import PictureSource
from jatlab.data.language.text import TextSource
from jatlab.data.mixed import CONTINUOUS, MixedSource
from jatlab.data.symmetries import COLOURED, LEFT, MIRRORED_DIRECTION, RIGHT, GridSymmetries
from jatlab.data.windows import WindowSource
from jatlab.model.config import GRID_CELLS, GRID_INTEGERS

TensorBatch = dict[str, Tensor]
Source = WindowSource | MixedSource | TextSource | PictureSource
READ_ROWS = 65_536  # rows copied to the device at once, so that the host never holds two copies


class Resident(ABC):
    """One epoch after another of a source's windows, drawn on the device.

    Subclasses gather the arrays. A new epoch takes a new order, and new cuts where the source has
    them, from a generator seeded with ``seed`` and the epoch's number: two instances with the same
    seed draw the same batches.

    Args:
        source: What `jatlab.data.windows.open_source` or `mix_alike` returned.
        device: Where the columns and the batches lie.
        seed: Of the order of windows.
    """

    def __init__(self, source: Source, device: torch.device, seed: int = 0) -> None:
        self.source, self.device, self.seed = source, device, seed
        self.epoch, self.position = 0, 0
        self.windows = self._plan()

    def _plan(self) -> Tensor:
        """This epoch's windows, shuffled: (n, 2) int64 [first row, length] on the device."""
        rng = np.random.default_rng([self.seed, self.epoch])
        windows = self.source.windows(rng)
        rng.shuffle(windows)
        return torch.from_numpy(windows).to(self.device, non_blocking=True)

    def draw(self, count: int) -> TensorBatch:
        """The next ``count`` windows as a batch of the model's arguments."""
        while self.position + count > len(self.windows):
            left = self.windows[self.position :]
            self.epoch, self.position = self.epoch + 1, 0
            self.windows = torch.cat([left, self._plan()])
        rows = self.windows[self.position : self.position + count]
        self.position += count
        return self.batch(rows)

    @abstractmethod
    def batch(self, windows: Tensor) -> TensorBatch:
        """The arrays of ``windows`` (B, 2), under the model's argument names."""


class ResidentWindows(Resident):
    """Windows of episodes, of one task or of several side by side (`MixedSource`)."""

    def __init__(
        self,
        source: WindowSource | MixedSource,
        device: torch.device,
        seed: int = 0,
        symmetries: GridSymmetries | None = None,
    ) -> None:
        self.parts = source.sources if isinstance(source, MixedSource) else [source]
        self.length = max(part.max_timesteps for part in self.parts)
        self.steps = torch.arange(self.length, device=device)
        self.columns = {name: self._column(name, device) for name in self._names()}
        self.texts = self._texts(device)
        rows = [int(part.store.lengths.sum()) for part in self.parts]
        self.firsts = torch.tensor(np.cumsum([0, *rows[:-1]]), device=device)
        self.facts = self._facts(device)
        self.symmetries = None if symmetries is None else ResidentSymmetries(symmetries, device)
        super().__init__(source, device, seed)

    def _names(self) -> list[str]:
        return [name for name in self.parts[0].store.columns if name != "text_observations"]

    def _column(self, name: str, device: torch.device) -> Tensor:
        """One column of all tasks, (rows, ...), as it is stored; shorter vectors padded with 0."""
        arrays = [part.store.columns[name] for part in self.parts]
        shape = np.max([array.shape[1:] for array in arrays], axis=0, initial=0).astype(int)
        total = sum(len(array) for array in arrays)
        found = torch.zeros((total, *shape), dtype=_torch_type(arrays[0]), device=device)
        first = 0
        for array in arrays:
            inner = tuple(map(slice, array.shape[1:]))
            for begin in range(0, len(array), READ_ROWS):
                piece = _as_tensor(array[begin : begin + READ_ROWS])
                found[(slice(first + begin, first + begin + len(piece)), *inner)] = piece.to(device)
            first += len(array)
        return found

    def _texts(self, device: torch.device) -> tuple[Tensor, Tensor] | None:
        """Missions: the tokens of all of them, (texts, S), and which one each row has, (rows,)."""
        tables = [part.text_ids for part in self.parts if part.text_ids is not None]
        if not tables:
            return None
        firsts = np.cumsum([0, *(len(table) for table in tables[:-1])])
        rows = [
            np.asarray(part.store.columns["text_observations"], np.int64) + first
            for part, first in zip(self.parts, firsts, strict=True)
        ]
        tokens, which = _as_tensor(np.concatenate(tables)), _as_tensor(np.concatenate(rows))
        return tokens.to(device), which.to(device)

    def _facts(self, device: torch.device) -> dict[str, Tensor]:
        """Facts of each task, (tasks, ...): the weight of its loss, the sizes of its vectors."""
        weights = torch.tensor([part.loss_weight for part in self.parts], device=device)
        columns = [part.store.columns for part in self.parts]
        sizes = [[c[name].shape[1] if name in c else 0 for name in CONTINUOUS] for c in columns]
        if all(one == sizes[0] for one in sizes):
            return {"loss_weight": weights.float()}
        return {"loss_weight": weights.float(), "sizes": torch.tensor(sizes, device=device)}

    def batch(self, windows: Tensor) -> TensorBatch:
        """The arrays (B, T, ...) of ``windows`` (B, 2); T is the longest window of the source."""
        lengths = windows[:, 1:]
        mask = self.steps < lengths  # (B, T)
        rows = windows[:, :1] + torch.minimum(self.steps, lengths - 1)
        task = torch.searchsorted(self.firsts, windows[:, 0].contiguous(), right=True) - 1
        found = {name: self._gather(name, rows, mask) for name in self.columns}
        found["attention_mask"] = mask.long()
        found["loss_weight"] = self.facts["loss_weight"][task][:, None].expand(mask.shape)
        if "sizes" in self.facts:
            found["continuous_sizes"] = self.facts["sizes"][task]
        return found if self.symmetries is None else self.symmetries(found)

    def _gather(self, name: str, rows: Tensor, mask: Tensor) -> Tensor:
        values = self.columns[name][rows]  # (B, T, ...)
        if name == "discrete_observations" and self.texts is not None:
            tokens, which = self.texts
            values = torch.cat([values.long(), tokens[which[rows]]], dim=-1)
        if name == "image_observations":
            values = values.float().div_(127.5).sub_(1)
        elif not values.is_floating_point():
            values = values.long()
        keep = mask.view(*mask.shape, *[1] * (values.ndim - 2))
        # a frame of padding is what uint8 zero becomes: -1
        return torch.where(keep, values, -1.0 if name == "image_observations" else 0)


class ResidentPages(Resident):
    """Rows of text, or pictures with text: all of them gathered once, then drawn from."""

    def __init__(
        self, source: TextSource | PictureSource, device: torch.device, seed: int = 0
    ) -> None:
        windows = source.windows(np.random.default_rng([seed, 0]))
        parts = [source.batch(windows[i : i + 512]) for i in range(0, len(windows), 512)]
        self.columns = {name: self._join(parts, name).to(device) for name in parts[0]}
        super().__init__(source, device, seed)

    @staticmethod
    def _join(parts: list[dict[str, np.ndarray]], name: str) -> Tensor:
        """One array of all parts; shorter rows of text get zeros behind them."""
        longest = max(part[name].shape[1] for part in parts)
        found = []
        for part in parts:
            values = torch.from_numpy(part[name])
            padding = [0, 0] * (values.ndim - 2) + [0, longest - values.shape[1]]
            found.append(torch.nn.functional.pad(values, padding))
        return torch.cat(found)

    def _plan(self) -> Tensor:
        """The order of the rows in this epoch, (n, 1)."""
        count = len(self.columns["input_ids"])
        order = np.random.default_rng([self.seed, self.epoch]).permutation(count)
        return torch.from_numpy(order[:, None]).to(self.device, non_blocking=True)

    def batch(self, windows: Tensor) -> TensorBatch:
        """The rows numbered ``windows`` (B, 1)."""
        found = {name: values[windows[:, 0]] for name, values in self.columns.items()}
        if "pixel_values" in found:
            from jatlab.data.language.pictures import normalise

            found["pixel_values"] = normalise(found["pixel_values"])
        return found


class ResidentSymmetries:
    """`GridSymmetries` on the device: permuted colours, and a mirror for half of the windows."""

    def __init__(self, symmetries: GridSymmetries, device: torch.device) -> None:
        self.colours = torch.from_numpy(symmetries.colours).to(device)
        self.sides = torch.from_numpy(symmetries.sides).to(device)
        self.direction = torch.from_numpy(MIRRORED_DIRECTION).to(device)
        self.coloured = torch.zeros(16, dtype=torch.bool, device=device)
        self.coloured[list(COLOURED)] = True

    def __call__(self, batch: TensorBatch) -> TensorBatch:
        """Another view of each window of a batch of grids; other batches as they are."""
        if "discrete_observations" not in batch:
            return batch
        count, device = len(batch["discrete_actions"]), self.colours.device
        permutations = torch.rand(count, len(self.colours), device=device).argsort(1)
        mirrored = torch.rand(count, device=device) < 0.5
        return self.view(batch, permutations, mirrored)

    def view(self, batch: TensorBatch, permutations: Tensor, mirrored: Tensor) -> TensorBatch:
        """The view with these permutations (B, 6), mirrored where ``mirrored`` (B,) says so."""
        observations = self._permute(batch["discrete_observations"], permutations)
        actions, flip = batch["discrete_actions"], mirrored[:, None]
        observations = torch.where(flip[..., None], self._mirror(observations), observations)
        turned = torch.where(actions == LEFT, RIGHT, torch.where(actions == RIGHT, LEFT, actions))
        actions = torch.where(flip, turned, actions) * batch["attention_mask"]
        return batch | {"discrete_observations": observations, "discrete_actions": actions}

    def _permute(self, observations: Tensor, permutations: Tensor) -> Tensor:
        """Colours of doors, keys, balls and boxes, in the grid and in the mission."""
        direction, grid, text = _split(observations)
        kinds, colours, states = grid.unflatten(-1, (GRID_CELLS, 3)).unbind(-1)  # (B, T, 49)
        swapped = permutations.gather(1, colours.clamp(max=5).flatten(1)).view_as(colours)
        colours = torch.where(self.coloured[kinds.clamp(max=15)], swapped, colours)
        grid = torch.stack([kinds, colours, states], dim=-1).flatten(-2)
        place, known = _lookup(text, self.colours)
        words = self.colours[permutations.gather(1, place.flatten(1)).view_as(place)]
        return torch.cat([direction, grid, torch.where(known, words, text)], dim=-1)

    def _mirror(self, observations: Tensor) -> Tensor:
        direction, grid, text = _split(observations)
        # columns of the view come first
        flipped = grid.unflatten(-1, (7, GRID_CELLS // 7, 3)).flip(-3).flatten(-3)
        place, known = _lookup(text, self.sides)
        words = torch.where(known, self.sides[1 - place.clamp(max=1)], text)
        return torch.cat([self.direction[direction.clamp(0, 3)], flipped, words], dim=-1)


def resident(
    source: Source,
    device: torch.device,
    seed: int = 0,
    symmetries: GridSymmetries | None = None,
) -> Resident:
    """The source with its data on ``device``; ``symmetries`` act on grids alone."""
    if isinstance(source, WindowSource | MixedSource):
        return ResidentWindows(source, device, seed, symmetries)
    return ResidentPages(source, device, seed)


def _split(observations: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Direction (B, T, 1), grid (B, T, 147), mission (B, T, S)."""
    text = observations.shape[-1] - GRID_INTEGERS
    direction, grid, mission = observations.split([1, GRID_INTEGERS - 1, text], dim=-1)
    return direction, grid, mission


def _lookup(text: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Which of a few ``tokens`` each token of ``text`` is (0 if none), and whether it is one."""
    matches = text[..., None] == tokens
    return matches.long().argmax(-1), matches.any(-1)


def _torch_type(array: np.ndarray) -> torch.dtype:
    return _as_tensor(array[:1]).dtype


def _as_tensor(array: np.ndarray) -> Tensor:
    """A tensor of the array's values; uint16 and uint32, which few kernels know, become signed."""
    wider = {"uint16": np.int32, "uint32": np.int64}.get(array.dtype.name, array.dtype)
    return torch.from_numpy(np.array(array, dtype=wider))  # a copy: stored columns are read-only
