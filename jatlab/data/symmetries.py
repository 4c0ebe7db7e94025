"""The symmetries of a grid world: colours are names, and left and right are a mirror's.

A demonstration of "go to the red ball" is one of "go to the blue ball" in a world where the two
colours have changed places, and, seen in a mirror, one with left and right exchanged. Drawing one
of these 6! x 2 views of a window each time it is used makes a few demonstrations many.
"""

from __future__ import annotations

import numpy as np

from jatlab.model.config import GRID_CELLS, GRID_INTEGERS
from jatlab.model.tokenization import TextTokenizer

COLOURS = (
    "red",
    "green",
    "blue",
    "purple",
    "yellow",
    "grey",
)  # in the order of the grid's colour values
COLOURED = (4, 5, 6, 7)  # door, key, ball, box; a wall is always grey
MIRRORED_DIRECTION = np.array([2, 1, 0, 3])  # right, down, left, up
LEFT, RIGHT = 0, 1  # actions


class GridSymmetries:
    """Draws another view of each window of a BabyAI batch; batches of other kinds pass as they are.

    Raises `ValueError` for a tokenizer in which a colour or side is not one token.
    """

    def __init__(self, tokenizer: TextTokenizer):
        self.colours = np.array([_one_token(tokenizer, word) for word in COLOURS])
        self.sides = np.array([_one_token(tokenizer, word) for word in ("left", "right")])

    def __call__(
        self, batch: dict[str, np.ndarray], rng: np.random.Generator
    ) -> dict[str, np.ndarray]:
        """The batch, with a permutation of colours and a coin's toss of mirroring for each of its B
        windows.
        """
        if "discrete_observations" not in batch:
            return batch
        observations, actions = (
            batch["discrete_observations"].copy(),
            batch["discrete_actions"].copy(),
        )
        windows = len(observations)
        self._permute_colours(
            observations, rng.permuted(np.tile(np.arange(len(COLOURS)), (windows, 1)), axis=1)
        )
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
        colours[:] = np.where(
            np.isin(kinds, COLOURED), permutations[window, np.minimum(colours, 5)], colours
        )
        place, found = _lookup(text, self.colours)
        text[:] = np.where(found, self.colours[permutations[window, place]], text)

    def _mirror(
        self, observations: np.ndarray, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The same windows seen in a mirror: view flipped, direction, sides in the mission and
        turns exchanged.
        """
        grid = observations[..., 1:GRID_INTEGERS]
        flipped = grid.reshape(*grid.shape[:2], 7, GRID_CELLS // 7, 3)[:, :, ::-1].reshape(
            grid.shape
        )  # columns of the view come first
        place, found = _lookup(observations[..., GRID_INTEGERS:], self.sides)
        text = np.where(found, self.sides[1 - place], observations[..., GRID_INTEGERS:])
        direction = MIRRORED_DIRECTION[observations[..., :1]]
        turned = np.where(actions == LEFT, RIGHT, np.where(actions == RIGHT, LEFT, actions))
        return np.concatenate([direction, flipped, text], axis=-1), turned


def _lookup(text: np.ndarray, tokens: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of a few `tokens` each token of `text` is, and whether it is one of them."""
    matches = text[..., None] == tokens
    return matches.argmax(-1), matches.any(-1)


def _one_token(tokenizer: TextTokenizer, word: str) -> int:
    ids = tokenizer.encode(word)
    if len(ids) != 1:
        raise ValueError(
            f"the tokenizer splits {word!r} into {len(ids)} tokens: symmetries of grid worlds need one for each colour and side"
        )
    return ids[0]
