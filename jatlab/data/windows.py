"""Episodes -> windows -> batches: the source of episodes, and opening any task's source.

An episode is cut from its start into consecutive windows of at most ``max_timesteps``; the last one
is shorter. A batch puts several windows side by side, padded on the right, under the model's
argument names. The reward beside an observation is the one received on arriving there.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jatlab.data.language.pictures import PictureSource, normalise, open_pictures
from jatlab.data.language.text import TextSource, open_text
from jatlab.data.sources import Batch, describe_items
from jatlab.data.storage import EpisodeStore
from jatlab.utils.checks import regular_expressions, require

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

__all__ = ["Batch", "WindowSource", "cut_windows", "open_source", "source_for", "to_tensors"]


def cut_windows(
    lengths: np.ndarray,
    max_timesteps: int,
    starts: np.ndarray | None = None,
    firsts: np.ndarray | None = None,
) -> np.ndarray:
    """Cut episodes into windows; every timestep lies in exactly one.

    >>> cut_windows(np.array([5, 2]), 3).tolist()
    [[0, 3], [3, 2], [5, 2]]

    Args:
        lengths: the episodes' timesteps, (E,).
        max_timesteps: the longest window.
        starts: (E,) the row at which each episode begins; by default they follow each other.
        firsts: (E,) the length of each episode's first window, 1 to ``max_timesteps``; by default
            it is full.

    Returns:
        (n, 2) int64 [start, length], in order.
    """
    lengths = np.asarray(lengths, np.int64)
    starts = np.cumsum(lengths) - lengths if starts is None else starts
    # as if the episode had begun this much earlier
    ahead = np.zeros_like(lengths) if firsts is None else max_timesteps - firsts
    counts = -(-(lengths + ahead) // max_timesteps)  # windows of each episode
    episode = np.repeat(np.arange(len(lengths)), counts)
    nth = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    begin = np.maximum(nth * max_timesteps - ahead[episode], 0)
    end = np.minimum((nth + 1) * max_timesteps - ahead[episode], lengths[episode])
    return np.stack([starts[episode] + begin, end - begin], axis=1)


class WindowSource:
    """The windows of one task's episodes.

    Args:
        store: the episodes.
        max_timesteps: the longest window.
        text_ids: (texts, S) int64, the tokens of ``store.texts``, which follow the integers of a
            discrete observation.
        episodes: the episodes to use; default all.
        random_start: whether each epoch cuts long episodes at other places.
        loss_weight: the weight of the losses; default the task's.

    Raises:
        ValueError: if there are no episodes to use.
    """

    def __init__(
        self,
        store: EpisodeStore,
        max_timesteps: int,
        text_ids: np.ndarray | None = None,
        episodes: np.ndarray | None = None,
        random_start: bool = False,
        loss_weight: float | None = None,
    ):
        self.store = store
        self.max_timesteps = max_timesteps
        self.text_ids = text_ids
        self.episodes = np.arange(len(store.lengths)) if episodes is None else episodes
        self.random_start = random_start
        self.loss_weight = store.task.loss_weight if loss_weight is None else loss_weight
        require(len(self.episodes) > 0, f"{self.name}: no episodes to train on")

    @property
    def name(self) -> str:
        """The task."""
        return self.store.task.name

    @property
    def fingerprint(self) -> str:
        """Changes when the episodes or the longest window do."""
        return f"{self.store.fingerprint}-{self.max_timesteps}-{len(self.episodes)}"

    @property
    def timesteps(self) -> int:
        """Timesteps of all episodes in use."""
        return int(self.store.lengths[self.episodes].sum())

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch's windows, (n, 2) int64 [start, length]: every timestep once.

        ``rng`` matters only with ``random_start``. Episodes that fit into one window stay whole.
        """
        lengths, starts = self.store.lengths[self.episodes], self.store.offsets[self.episodes]
        firsts = None
        if self.random_start:
            drawn = rng.integers(1, self.max_timesteps + 1, len(lengths))
            firsts = np.where(lengths > self.max_timesteps, drawn, self.max_timesteps)
        return cut_windows(lengths, self.max_timesteps, starts, firsts)

    def batch(self, windows: np.ndarray) -> Batch:
        """These windows (B, 2) side by side: arrays (B, T, ...) under the model's argument names.

        T is the longest window. Images are still uint8; `to_tensors` scales them.
        """
        starts, lengths = windows[:, 0], windows[:, 1]
        steps = np.arange(lengths.max())  # (T,)
        mask = steps < lengths[:, None]  # (B, T)
        # padding repeats the window's last row, and is then zeroed
        rows = starts[:, None] + np.minimum(steps, lengths[:, None] - 1)
        return self._arrays(rows, mask)

    def _arrays(self, rows: np.ndarray, mask: np.ndarray) -> Batch:
        """The batch of these timesteps (B, T); all is zero where ``mask`` (B, T) is False."""
        names = [name for name in self.store.columns if name != "text_observations"]
        batch = {name: self._gather(name, rows, mask) for name in names}
        batch["attention_mask"] = mask.astype(np.int64)
        batch["loss_weight"] = np.full(mask.shape, self.loss_weight, np.float32)
        return batch

    def _gather(self, name: str, rows: np.ndarray, mask: np.ndarray) -> np.ndarray:
        values = self.store.columns[name][rows]  # (B, T, ...)
        if name == "discrete_observations" and self.text_ids is not None:
            texts = self.text_ids[self.store.columns["text_observations"][rows]]  # (B, T, S)
            values = np.concatenate([values, texts], axis=-1, dtype=np.int64)
        values[~mask] = 0
        return values.astype(np.int64, copy=False) if values.dtype == np.uint16 else values

    def describe(self, windows: np.ndarray) -> str:
        """Which episodes these windows are from, for error messages."""
        episodes = np.unique(np.searchsorted(self.store.offsets, windows[:, 0], side="right") - 1)
        return describe_items(self.name, "episode", episodes)

    def without_missions(self, patterns: Sequence[str]) -> WindowSource:
        """The source without the episodes whose mission matches a regular expression.

        A task without missions stays as it is. Raises ValueError if no episode is left.
        """
        texts = self.store.columns.get("text_observations")
        if texts is None or not patterns:
            return self
        each = regular_expressions(patterns, "without_missions")
        hidden = np.array([any(one.search(text) for one in each) for text in self.store.texts])
        first = np.asarray(texts)[self.store.offsets[self.episodes]]
        return self._subset(self.episodes[~hidden[first]], self.random_start)

    def split(self, fraction: float, seed: int) -> tuple[WindowSource, WindowSource | None]:
        """A source to train on, and one with ``fraction`` of the *episodes* held out.

        Whole episodes are held out, because windows of one episode resemble each other. At least
        one is left to train on; the second source is None if the fraction rounds to no episode.

        Where more episodes are recorded later, such as relabelled ones, nearly the same are held
        out. So an agent that is trained further is not tested on what it has learnt.
        """
        count = min(round(len(self.episodes) * fraction), len(self.episodes) - 1)
        if count == 0:
            return self, None
        # an episode's draw does not depend on the episodes behind it
        draws = np.random.default_rng(seed).random(len(self.store.lengths))[self.episodes]
        held = draws <= np.partition(draws, count - 1)[count - 1]
        train, validation = self.episodes[~held], self.episodes[held]
        return self._subset(train, self.random_start), self._subset(validation, False)

    def _subset(self, episodes: np.ndarray, random_start: bool) -> WindowSource:
        return WindowSource(
            self.store, self.max_timesteps, self.text_ids, episodes, random_start, self.loss_weight
        )


# --- from a task's name, for a model ---


def open_source(
    name: str,
    root: str | Path,
    config: JatConfig,
    tokenizer: TextTokenizer | None = None,
    max_timesteps: int | None = None,
    cache: str | Path | None = None,
    random_start: bool = False,
    loss_weight: float | None = None,
    without_missions: Sequence[str] = (),
) -> WindowSource | TextSource | PictureSource:
    """The source of task ``name`` under ``root``, for a model of ``config``.

    Args:
        name: a task of control, text or pictures.
        root: the folder of the data.
        config: the model's; it limits the windows, the sizes of vectors, and the ids.
        tokenizer: needed where the task has texts.
        max_timesteps: the longest window; default see `source_for`. Text has twice as many tokens.
        cache: another folder for the flat files, for data that lies where nothing can be written.
        random_start: whether each epoch cuts long episodes at other places.
        loss_weight: the weight of the losses; default the task's.
        without_missions: regular expressions of the missions whose episodes are left out.

    Raises:
        FileNotFoundError: without data.
        ValueError: for a ``loss_weight`` of text, whose loss has none, and for what `source_for`,
            `EpisodeStore.open`, `open_text` and `open_pictures` refuse.
    """
    from jatlab.tasks import get_task

    task = get_task(name)
    if task.playable:
        store = EpisodeStore.open(task, root, cache=cache)
        source = source_for(store, config, tokenizer, max_timesteps, random_start, loss_weight)
        return source.without_missions(without_missions)
    check_no_weight(name, loss_weight)
    if task.observation == "picture":
        return open_pictures(name, root, config, tokenizer, max_timesteps, cache)
    return open_text(name, root, config, tokenizer, max_timesteps, cache)


def check_no_weight(name: str, loss_weight: float | None) -> None:
    """Raise ValueError for a ``loss_weight`` of text."""
    require(
        loss_weight is None,
        f"{name}: the loss of text has no weight; "
        "use task_weights to train on it more or less often",
    )


def source_for(
    store: EpisodeStore,
    config: JatConfig,
    tokenizer: TextTokenizer | None = None,
    max_timesteps: int | None = None,
    random_start: bool = False,
    loss_weight: float | None = None,
) -> WindowSource:
    """The windows of ``store`` for a model of ``config``.

    Args:
        store: the episodes.
        config: the model's.
        tokenizer: needed where the task has texts; each distinct text is tokenized once.
        max_timesteps: the longest window; default as long as the model's positions and the task
            allow.
        random_start: whether each epoch cuts long episodes at other places.
        loss_weight: the weight of the losses; default the task's.

    Raises:
        ValueError: for windows longer than the model's positions, and for sizes or ids that do not
            fit into the model.
    """
    limit = max_timesteps or config.window(store.task)
    _check_fit(store, config, limit)
    text_ids = _tokenize(store, config, tokenizer)
    return WindowSource(store, limit, text_ids, None, random_start, loss_weight)


def _check_fit(store: EpisodeStore, config: JatConfig, limit: int) -> None:
    task = store.task
    require(
        limit <= config.max_timesteps,
        f"{task.name}: windows of {limit} timesteps are {2 * limit} tokens, but the model has "
        f"{config.max_position_embeddings} positions; "
        f"use max_timesteps={config.max_timesteps} or fewer",
    )
    # a continuous observation is embedded together with its reward
    observation = task.observation_size + 1 if task.observation == "continuous" else 0
    action = task.action_size if task.action == "continuous" else 0
    require(
        max(observation, action) <= config.max_continuous_size,
        f"{task.name} has more features than the model's max_continuous_size "
        f"of {config.max_continuous_size}",
    )
    for column, largest in store.largest.items():
        require(
            largest < config.vocab_size,
            f"{task.name}: {column} reach {largest}, "
            f"but the model's vocab_size is {config.vocab_size}",
        )


def _tokenize(
    store: EpisodeStore, config: JatConfig, tokenizer: TextTokenizer | None
) -> np.ndarray | None:
    """The ids of each distinct text, (texts, S); None for a task without texts.

    S is so large that a discrete observation has ``max_discrete_value`` integers.
    """
    if "text_observations" not in store.columns:
        return None
    name, size = store.task.name, store.task.observation_size
    room = config.max_discrete_value - size
    require(
        room >= 0,
        f"{name}: {size} integers do not fit into max_discrete_value={config.max_discrete_value}",
    )
    if tokenizer is None:
        raise ValueError(f"{name} has missions: open_source needs a tokenizer")
    require(
        tokenizer.vocab_size <= config.vocab_size,
        f"the tokenizer has {tokenizer.vocab_size} ids, "
        f"the model's vocab_size is {config.vocab_size}",
    )
    ids = tokenizer.encode_batch(store.texts, room + 1)
    if cut := int((ids[:, room] != tokenizer.pad_id).sum()):
        warnings.warn(
            f"{name}: {cut} of {len(store.texts)} texts are longer than {room} tokens and were cut",
            stacklevel=2,
        )
    return ids[:, :room]


def to_tensors(batch: Batch, device: torch.device | str | None = None) -> dict[str, Tensor]:
    """NumPy arrays -> torch tensors on ``device``.

    Bytes are copied there and become float32 on the device, so that a quarter is copied: frames in
    [-1, 1], pictures normalised as CLIP's.
    """
    import torch

    tensors = {
        name: torch.from_numpy(values).to(device, non_blocking=True)
        for name, values in batch.items()
    }
    if "image_observations" in tensors:
        tensors["image_observations"] = tensors["image_observations"].float().div_(127.5).sub_(1)
    if "pixel_values" in tensors:
        tensors["pixel_values"] = normalise(tensors["pixel_values"])
    return tensors
