"""The symmetries of a grid world: any permutation of the colours, and the mirror.

A demonstration of "go to the red ball" is one of "go to the blue ball" in a world where the two
colours are exchanged. Seen in a mirror, it is one with left and right exchanged. Drawing one of
these 6! x 2 views of a window each time it is used makes a few demonstrations many.
"""

from __future__ import annotations

import numpy as np

from jatlab.data.sources import Batch
from jatlab.model.config import GRID_CELLS, GRID_INTEGERS
from jatlab.model.tokenization import TextTokenizer
from jatlab.utils.checks import require

# in the order of the grid's colour values
COLOURS = ("red", "green", "blue", "purple", "yellow", "grey")
COLOURED = (4, 5, 6, 7)  # door, key, ball, box; a wall is always grey
MIRRORED_DIRECTION = np.array([2, 1, 0, 3])  # right, down, left, up
LEFT, RIGHT = 0, 1  # actions


class GridSymmetries:
    """Draws another view of each window of a BabyAI batch; other batches stay as they are.

    Raises ValueError for a tokenizer in which a colour or a side is not one token.
    """

    def __init__(self, tokenizer: TextTokenizer):
        self.colours = np.array([_one_token(tokenizer, word) for word in COLOURS])
        self.sides = np.array([_one_token(tokenizer, word) for word in ("left", "right")])

    def __call__(self, batch: Batch, rng: np.random.Generator) -> Batch:
        """Each of the B windows with its colours permuted, mirrored with probability 1/2."""
        if "discrete_observations" not in batch:
            return batch
        observations = batch["discrete_observations"].copy()
        actions = batch["discrete_actions"].copy()
        windows = len(observations)
        colours = np.tile(np.arange(len(COLOURS)), (windows, 1))
        self._permute_colours(observations, rng.permuted(colours, axis=1))
        mirrored = rng.random(windows) < 0.5
        observations[mirrored], actions[mirrored] = self._mirror(
            observations[mirrored], actions[mirrored]
        )
        actions[batch["attention_mask"] == 0] = 0
        return batch | {"discrete_observations": observations, "discrete_actions": actions}

    def _permute_colours(self, observations: np.ndarray, permutations: np.ndarray) -> None:
        """In place, for observations (B, T, 148 + S) and permutations (B, 6)."""
        window = np.arange(len(observations))[:, None, None]
        grid, text = observations[..., 1:GRID_INTEGERS], observations[..., GRID_INTEGERS:]
        kinds, colours = grid[..., 0::3], grid[..., 1::3]  # (B, T, 49)
        permuted = permutations[window, np.minimum(colours, 5)]
        colours[:] = np.where(np.isin(kinds, COLOURED), permuted, colours)
        place, found = _lookup(text, self.colours)
        text[:] = np.where(found, self.colours[permutations[window, place]], text)

    def _mirror(
        self, observations: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The windows seen in a mirror.

        The view is flipped; the direction, the sides in the mission and the actions that turn are
        exchanged.
        """
        grid = observations[..., 1:GRID_INTEGERS]
        columns = grid.reshape(*grid.shape[:2], 7, GRID_CELLS // 7, 3)  # of the view, left to right
        flipped = columns[:, :, ::-1].reshape(grid.shape)
        text = observations[..., GRID_INTEGERS:]
        place, found = _lookup(text, self.sides)
        text = np.where(found, self.sides[1 - place], text)
        direction = MIRRORED_DIRECTION[observations[..., :1]]
        turned = np.where(actions == LEFT, RIGHT, np.where(actions == RIGHT, LEFT, actions))
        return np.concatenate([direction, flipped, text], axis=-1), turned


def _lookup(text: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of a few ``tokens`` each token of ``text`` is, and whether it is one of them."""
    matches = text[..., None] == tokens
    return matches.argmax(-1), matches.any(-1)


def _one_token(tokenizer: TextTokenizer, word: str) -> int:
    ids = tokenizer.encode(word)
    require(
        len(ids) == 1,
        f"the tokenizer splits {word!r} into {len(ids)} tokens: "
        "symmetries of grid worlds need one for each colour and side",
    )
    return ids[0]
