"""Episodes -> windows -> batches, for one task.

An episode is cut from its start into consecutive windows of at most ``max_timesteps``; the last one
is shorter. A batch puts some windows side by side, padded on the right, under the model's argument
names. The reward beside an observation is the one received on arriving there.

A *source* is what the mixture (``jatlab.data.mixture``) draws from. `WindowSource` is the one for
episodes. Another kind, such as text or captioned pictures, is another class with the same few
names:

- ``name``, ``fingerprint``: what it is called, and a string that changes when its content does;
- ``windows(rng) -> (n, 2) int64``: one epoch, a row ``[start, length]`` for each window, in timesteps (or tokens);
- ``batch(windows) -> dict``: the arrays of some of these rows, with the model's argument names;
- ``describe(windows) -> str``: where they come from, for error messages.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jatlab.data.storage import EpisodeStore

if TYPE_CHECKING:
    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

Batch = dict[str, np.ndarray]


def cut_windows(
    lengths: np.ndarray,
    max_timesteps: int,
    starts: np.ndarray | None = None,
    firsts: np.ndarray | None = None,
) -> np.ndarray:
    """Cut episodes of these lengths into windows: (E,) -> (n, 2) int64 rows [start, length], in
    order.

    ``starts`` (E,) is the row at which each episode begins (by default they follow each other);
    ``firsts`` (E,) makes each episode's first window that long (1 to ``max_timesteps``) instead of
    full. Every timestep lies in exactly one window.

    >>> cut_windows(np.array([5, 2]), 3).tolist()
    [[0, 3], [3, 2], [5, 2]]
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

    ``store``: the episodes. ``max_timesteps``: the longest window. ``text_ids`` (texts, S) int64:
    the tokens of ``store.texts``, put behind the integers of a discrete observation. ``episodes``:
    which of them to use (default all). ``random_start``: in each epoch, cut long episodes at other
    places. ``loss_weight``: in place of the task's. Raises ValueError if there is nothing to use.
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
        if len(self.episodes) == 0:
            raise ValueError(f"{self.name}: no episodes to train on")

    @property
    def name(self) -> str:
        return self.store.task.name

    @property
    def fingerprint(self) -> str:
        return f"{self.store.fingerprint}-{self.max_timesteps}-{len(self.episodes)}"

    @property
    def timesteps(self) -> int:
        """Timesteps in all episodes used."""
        return int(self.store.lengths[self.episodes].sum())

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch's windows, (n, 2) int64 rows [start, length]: every timestep once. ``rng``
        matters only with ``random_start``.
        """
        lengths, starts = self.store.lengths[self.episodes], self.store.offsets[self.episodes]
        firsts = None
        if self.random_start:  # episodes that fit into one window stay whole
            firsts = np.where(
                lengths > self.max_timesteps,
                rng.integers(1, self.max_timesteps + 1, len(lengths)),
                self.max_timesteps,
            )
        return cut_windows(lengths, self.max_timesteps, starts, firsts)

    def batch(self, windows: np.ndarray) -> Batch:
        """The (B, 2) ``windows`` side by side: arrays (B, T, ...) under the model's names, T the
        longest, zeros where ``attention_mask`` is 0.

        Images are still uint8; `to_tensors` scales them.
        """
        starts, lengths = windows[:, 0], windows[:, 1]
        steps = np.arange(lengths.max())  # (T,)
        mask = steps < lengths[:, None]  # (B, T)
        rows = starts[:, None] + np.minimum(
            steps, lengths[:, None] - 1
        )  # padding repeats a row of its own window, then is zeroed
        batch = {
            name: self._gather(name, rows, mask)
            for name in self.store.columns
            if name != "text_observations"
        }
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
        some = ", ".join(map(str, episodes[:8]))
        return f"{self.name}, episode{'s' if len(episodes) > 1 else ''} {some}{' …' if len(episodes) > 8 else ''}"

    def split(self, fraction: float, seed: int) -> tuple[WindowSource, WindowSource | None]:
        """Two sources: one to train on, one with ``fraction`` of the *episodes* held out (None if
        that is none of them).

        Whole episodes, because windows of one episode resemble each other. At least one is left to
        train on. Where more are recorded behind them, such as corrections, nearly the same are held
        out, so that an agent trained on is not tested on what it has learnt.
        """
        count = min(round(len(self.episodes) * fraction), len(self.episodes) - 1)
        if count == 0:
            return self, None
        draws = np.random.default_rng(seed).random(len(self.store.lengths))[
            self.episodes
        ]  # an episode's does not depend on those behind it
        held = draws <= np.partition(draws, count - 1)[count - 1]
        train, val = self.episodes[~held], self.episodes[held]
        return self._only(train, self.random_start), self._only(val, False)

    def _only(self, episodes: np.ndarray, random_start: bool) -> WindowSource:
        return WindowSource(
            self.store, self.max_timesteps, self.text_ids, episodes, random_start, self.loss_weight
        )


# --- from a task's name, for a model
# -----------------------------------------------------------------------------------------


def open_source(
    name: str,
    root: str | Path,
    config: JatConfig,
    tokenizer: TextTokenizer | None = None,
    max_timesteps: int | None = None,
    cache: str | Path | None = None,
    random_start: bool = False,
    loss_weight: float | None = None,
):
    """The source of task ``name`` under ``root``, for a model of ``config``: `WindowSource`,
    `TextSource` or `PictureSource`, as the task is.

    For episodes see `source_for` and `EpisodeStore.open`, for the others `open_text` and
    `open_pictures`. Raises ValueError for a ``loss_weight`` of text: its loss has none; say how
    often the task has its turn instead.
    """
    from jatlab.tasks import get_task

    task = get_task(name)
    if not task.playable:
        if loss_weight is not None:
            raise ValueError(
                f"{name}: the loss of text has no weight; use task_weights to train on it more or less often"
            )
        return _opener(task)(name, root, config, tokenizer, max_timesteps, cache)
    store = EpisodeStore.open(task, root, cache=cache)
    return source_for(store, config, tokenizer, max_timesteps, random_start, loss_weight)


def _opener(task):
    from jatlab.data.pictures import open_pictures
    from jatlab.data.text import open_text

    return open_pictures if task.observation == "picture" else open_text


def source_for(
    store: EpisodeStore,
    config: JatConfig,
    tokenizer: TextTokenizer | None = None,
    max_timesteps: int | None = None,
    random_start: bool = False,
    loss_weight: float | None = None,
) -> WindowSource:
    """The windows of ``store`` for a model of ``config``: as long as its positions and the task
    allow, or ``max_timesteps``.

    ``tokenizer`` is needed where the task has texts; each distinct text is tokenized once. Raises
    ValueError for a window longer than the model's positions, and for sizes or ids that do not fit
    into the model.
    """
    limit = max_timesteps or config.window(store.task)
    _check_fit(store, config, limit)
    return WindowSource(
        store, limit, _tokenize(store, config, tokenizer), None, random_start, loss_weight
    )


def _check_fit(store: EpisodeStore, config: JatConfig, limit: int) -> None:
    task = store.task
    if limit > config.max_timesteps:
        raise ValueError(
            f"{task.name}: windows of {limit} timesteps are {2 * limit} tokens, but the model has {config.max_position_embeddings} positions; "
            f"use max_timesteps={config.max_timesteps} or fewer"
        )
    # a continuous observation is stored beside its reward
    wide = task.observation_size + 1 if task.observation == "continuous" else 0
    if (
        max(wide, task.action_size if task.action == "continuous" else 0)
        > config.max_continuous_size
    ):
        raise ValueError(
            f"{task.name} has more features than the model's max_continuous_size of {config.max_continuous_size}"
        )
    for column, largest in store.largest.items():
        if largest >= config.vocab_size:
            raise ValueError(
                f"{task.name}: {column} reach {largest}, but the model's vocab_size is {config.vocab_size}"
            )


def _tokenize(
    store: EpisodeStore, config: JatConfig, tokenizer: TextTokenizer | None
) -> np.ndarray | None:
    """(texts, S) ids of each distinct text, S so many that a discrete observation has
    ``max_discrete_value`` integers.
    """
    if "text_observations" not in store.columns:
        return None
    room = config.max_discrete_value - store.task.observation_size
    if room < 0:
        raise ValueError(
            f"{store.task.name}: {store.task.observation_size} integers do not fit into max_discrete_value={config.max_discrete_value}"
        )
    if tokenizer is None:
        raise ValueError(f"{store.task.name} has missions: open_source needs a tokenizer")
    if tokenizer.vocab_size > config.vocab_size:
        raise ValueError(
            f"the tokenizer has {tokenizer.vocab_size} ids, the model's vocab_size is {config.vocab_size}"
        )
    ids = tokenizer.encode_batch(store.texts, room + 1)
    if cut := int((ids[:, room] != tokenizer.pad_id).sum()):
        warnings.warn(
            f"{store.task.name}: {cut} of {len(store.texts)} texts are longer than {room} tokens and were cut",
            stacklevel=2,
        )
    return ids[:, :room]


def to_tensors(batch: Batch, device=None) -> dict:
    """NumPy arrays -> torch tensors on ``device``. Frames become float32 in [-1, 1] there, pictures
    are normalised as CLIP's: so a quarter is copied.
    """
    import torch

    tensors = {
        name: torch.from_numpy(values).to(device, non_blocking=True)
        for name, values in batch.items()
    }
    if "image_observations" in tensors:
        tensors["image_observations"] = tensors["image_observations"].float().div_(127.5).sub_(1)
    if "pixel_values" in tensors:
        from jatlab.data.pictures import normalise

        tensors["pixel_values"] = normalise(tensors["pixel_values"])
    return tensors
