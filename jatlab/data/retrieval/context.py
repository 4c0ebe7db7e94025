"""What an in-context agent learns from: retrieved timesteps, then the one to act in.

A *query* is a timestep of one episode. Before it stand the timesteps of other episodes of the same
task that look most like it, the nearest first. All of them are found before the training begins.

REGENT (arXiv 2412.04759) does not score the network's action p, but its mixture with the nearest
retrieved action r: w r + (1 - w) p, where w = exp(-lambda d). For a squared error that is the error
of p with another target and another weight,

    (w r + (1 - w) p - a)^2 = (1 - w)^2 (p - (a - w r) / (1 - w))^2,

and so the batch holds this target and this weight, and the model is left as it is.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jatlab.data.retrieval.index import DemonstrationIndex, Encoder, encoder_digest
from jatlab.data.sources import Batch
from jatlab.data.windows import WindowSource
from jatlab.utils.checks import require

LEAST = 1e-3  # of 1 - w; below it nothing is left for the network to learn


def retrieved_weight(distances: np.ndarray, scale: float, sharpness: float) -> np.ndarray:
    """The weight of a retrieved action beside the network's, w = exp(-lambda d).

    Args:
        distances: of the nearest timesteps.
        scale: the task's unit of distance; d is at most one unit.
        sharpness: lambda.
    """
    return np.exp(-sharpness * np.minimum(np.asarray(distances) / scale, 1.0))


class ContextSource(WindowSource):
    """The queries of one task's episodes, each behind what was retrieved for it.

    A window [row, length] is a query, a row of the store, and its length counts the retrieved
    timesteps and the query. Each episode's queries are looked for in as many of the other episodes
    as its draw says, so that the agent learns to act from few demonstrations as well as from many.

    Args:
        source: the episodes of the queries.
        shown: the numbers of the episodes that may be retrieved; an episode never is for itself.
        retrieved: timesteps before each query.
        sharpness: lambda of the mixture.
        seed: of the draws.
        encode: of frames, see `jatlab.data.retrieval.index.Encoder`.
        permute_actions: change the order and the signs of an action's numbers, for each query anew
            and for what is retrieved alike. A network that has to read what they mean cannot answer
            from what it remembers of the training tasks. Discrete actions stay.

    Raises:
        ValueError: for an episode beside which there is no other one.
    """

    def __init__(
        self,
        source: WindowSource,
        shown: np.ndarray,
        retrieved: int,
        sharpness: float,
        seed: int = 0,
        encode: Encoder | None = None,
        permute_actions: bool = False,
    ):
        super().__init__(
            source.store,
            retrieved + 1,
            source.text_ids,
            source.episodes,
            loss_weight=source.loss_weight,
        )
        kind = "permuted" if permute_actions else "plain"
        self.made_of = f"{retrieved}-{sharpness:g}-{seed}-{len(shown)}-{kind}"
        if encode is not None:
            self.made_of += f"-{encoder_digest(encode)}"
        self.permutes = permute_actions
        index = DemonstrationIndex(self.store.task, self.store, encode=encode)
        rows = int(self.store.offsets[-1])
        self.neighbours = np.full((rows, retrieved), -1, np.int64)  # nearest first, then -1
        self.weights = np.zeros(rows, np.float32)  # of the retrieved action in the mixture
        for own, others in _draws(self.episodes, shown, seed, self.name):
            queries = np.arange(*self.store.offsets[own : own + 2])
            found, scale = index.nearest_among(queries, others, retrieved)
            self.neighbours[queries, : found.rows.shape[1]] = found.rows
            self.weights[queries] = retrieved_weight(found.distances[:, 0], scale, sharpness)

    @property
    def fingerprint(self) -> str:
        """Changes when the episodes do, or what is retrieved for them."""
        return f"{super().fingerprint}-{self.made_of}"

    def windows(self, rng: np.random.Generator) -> np.ndarray:
        """One epoch: every query once, (n, 2) int64 [row, length]."""
        offsets = self.store.offsets
        queries = np.concatenate([np.arange(*offsets[one : one + 2]) for one in self.episodes])
        return np.stack([queries, 1 + (self.neighbours[queries] >= 0).sum(1)], axis=1)

    def batch(self, windows: np.ndarray) -> Batch:
        """The arrays (B, T, ...) of some queries, the last timestep of each row.

        Of continuous actions only the query's is scored, as REGENT's mixture. Discrete ones are
        all scored, and without the mixture.
        """
        queries, lengths = windows[:, 0], windows[:, 1]
        steps = np.arange(lengths.max())  # (T,)
        near = np.pad(self.neighbours[queries], ((0, 0), (0, 1)))[:, : len(steps)]
        last = steps == lengths[:, None] - 1  # (B, T)
        mask = steps < lengths[:, None]
        batch = self._arrays(np.where(mask & ~last, near, queries[:, None]), mask)
        if "continuous_actions" in batch:
            if self.permutes:
                _permute(batch["continuous_actions"], queries)
            self._score_mixture(batch, queries, lengths, last)
        return batch

    def _score_mixture(
        self, batch: Batch, queries: np.ndarray, lengths: np.ndarray, last: np.ndarray
    ) -> None:
        """Give the queries' actions the target and the weight that score the mixture."""
        actions, weight = batch["continuous_actions"], self.weights[queries]
        left = np.where(1 - weight < LEAST, 0.0, 1 - weight).astype(np.float32)
        retrieved, done = actions[:, 0], actions[last]  # (B, m)
        rest = np.where(left > 0, left, 1)[:, None]
        target = (done - weight[:, None] * retrieved) / rest
        actions[last] = np.where(left[:, None] > 0, target, done)
        # the loss is a mean over all timesteps, of which only the query's has a weight
        scored = self.loss_weight * lengths * left**2
        batch["loss_weight"] = np.where(last, scored[:, None], 0).astype(np.float32)


def _permute(actions: np.ndarray, queries: np.ndarray) -> None:
    """Another order and other signs of the numbers of each row's actions (B, T, m), in place.

    The batch decides them, so that training goes on with the same ones after a stop.
    """
    rng, (rows, _, size) = np.random.default_rng(queries), actions.shape
    order = rng.permuted(np.tile(np.arange(size), (rows, 1)), axis=1)
    signs = rng.choice(np.array([-1, 1], actions.dtype), (rows, 1, size))
    actions[...] = np.take_along_axis(actions, order[:, None], axis=2) * signs


def _draws(
    episodes: np.ndarray, shown: np.ndarray, seed: int, name: str
) -> Iterator[tuple[int, np.ndarray]]:
    """For each episode, the episodes that are searched for its queries.

    Their number is drawn too: from 1 to all others, small ones as likely as large ones.
    """
    for own in episodes.tolist():
        others = shown[shown != own]
        require(
            len(others) > 0,
            f"{name} has one episode: what is retrieved comes from another one, so record more",
        )
        rng = np.random.default_rng([seed, own])
        count = round(float(np.exp(rng.uniform(0, np.log(len(others))))))
        yield own, np.sort(rng.permutation(others)[:count])
