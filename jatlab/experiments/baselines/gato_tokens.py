"""Gato's tokens of an episode: one for each number (Reed et al. 2022, arXiv 2205.06175).

JAT makes one token of an observation. Gato makes one of each number in it, so that one vocabulary
serves everything (section 2.1 and appendix B):

- text: subwords, ids 0 to 31,999. The paper uses SentencePiece; here it is jatlab's tokenizer,
  which has fewer.
- real numbers of an observation: mu-law companded, clipped to [-1, 1], 1,024 bins of equal width,
  ids 32,000 to 33,023.
- real numbers of an action: the same without companding, because actions lie in [-1, 1].
- integers (grid values, buttons): unchanged, in row-major order; they share the first ids with
  text.
- images: patches of 16 x 16 pixels in raster order, scaled to [-1, 1] and divided by 4. A patch has
  no id; its vector is computed from its pixels.
- a timestep: its observations, ordered by name; a separator; its action. Rewards have no token.

Two choices are ours, because the paper leaves them open. The separator's id is the first free one.
Images are cropped to multiples of 16 pixels, which is the cheapest choice for Gato: an Atari frame
of 84 x 84 becomes 80 x 80, with its four stacked frames as channels.

Letters: T timesteps, L tokens, P patches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from jatlab.model.tokenization import TextTokenizer
    from jatlab.tasks import Task

TEXT_IDS, BINS = 32_000, 1_024
SEPARATOR = TEXT_IDS + BINS
NO_ID = -1  # of a patch
MU, LIMIT = 100, 256  # the paper's mu and M: values of +-LIMIT are companded to +-1
PATCH = 16  # pixels a side
FRAME = 84  # pixels a side of an Atari frame
KINDS = ("text", "patch", "integer", "real", "separator", "action")


# --- numbers --------------------------------------------------------------------------------------


def mu_law(x: np.ndarray) -> np.ndarray:
    """Compand: sign(x) log(MU |x| + 1) / log(MU LIMIT + 1); small values get finer bins."""
    x = np.asarray(x, np.float64)
    return np.sign(x) * np.log1p(MU * np.abs(x)) / np.log1p(MU * LIMIT)


def inverse_mu_law(y: np.ndarray) -> np.ndarray:
    """The inverse of `mu_law`."""
    y = np.asarray(y, np.float64)
    return np.sign(y) * np.expm1(np.abs(y) * np.log1p(MU * LIMIT)) / MU


def to_bins(y: np.ndarray) -> np.ndarray:
    """The bin, 0 to 1,023, of each value clipped to [-1, 1]. Raises ValueError for NaN."""
    y = np.asarray(y, np.float64)
    if np.isnan(y).any():
        raise ValueError("NaN has no bin: expected numbers")
    bins = np.floor((np.clip(y, -1, 1) + 1) / 2 * BINS).astype(np.int64)
    return np.minimum(bins, BINS - 1)  # 1 itself belongs to the last bin


def from_bins(bins: np.ndarray) -> np.ndarray:
    """The middle of each bin, in [-1, 1]."""
    return (np.asarray(bins) + 0.5) / BINS * 2 - 1


def bin_edges() -> np.ndarray:
    """The edges of an observation's bins, in its units: (1,025,), from -256 to 256."""
    return inverse_mu_law(np.linspace(-1, 1, BINS + 1))


def encode_observation(values: np.ndarray) -> np.ndarray:
    """Real numbers of an observation to ids of the same shape."""
    return TEXT_IDS + to_bins(mu_law(values))


def decode_observation(ids: np.ndarray) -> np.ndarray:
    """The middle of each id's bin, in the observation's units."""
    return inverse_mu_law(from_bins(_bins_of(ids)))


def encode_action(values: np.ndarray) -> np.ndarray:
    """Real numbers of an action, clipped to [-1, 1], to ids of the same shape."""
    return TEXT_IDS + to_bins(values)


def decode_action(ids: np.ndarray) -> np.ndarray:
    """The middle of each id's bin, in [-1, 1]."""
    return from_bins(_bins_of(ids))


def _bins_of(ids: np.ndarray) -> np.ndarray:
    bins = np.asarray(ids) - TEXT_IDS
    if ((bins < 0) | (bins >= BINS)).any():
        raise ValueError(
            f"ids of real numbers are {TEXT_IDS} to {TEXT_IDS + BINS - 1}; "
            f"got {np.min(ids)} to {np.max(ids)}"
        )
    return bins


# --- images ---------------------------------------------------------------------------------------


def cut_patches(picture: np.ndarray) -> np.ndarray:
    """An image uint8 (channels, h, w) to float32 patches (P, channels, 16, 16) in raster order.

    They are scaled to [-1, 1] and divided by 4. Raises ValueError for an image that is smaller than
    a patch.
    """
    channels, height, width = picture.shape
    rows, columns = height // PATCH, width // PATCH
    if not rows or not columns:
        raise ValueError(
            f"a picture of {height} x {width} pixels holds no patch of {PATCH} x {PATCH}"
        )
    top, left = (height - rows * PATCH) // 2, (width - columns * PATCH) // 2
    middle = picture[:, top : top + rows * PATCH, left : left + columns * PATCH]
    grid = middle.reshape(channels, rows, PATCH, columns, PATCH)
    patches = grid.transpose(1, 3, 0, 2, 4)  # (rows, columns, channels, 16, 16)
    scaled = patches.reshape(-1, channels, PATCH, PATCH) / 127.5 - 1
    return scaled.astype(np.float32) / np.float32(PATCH**0.5)


# --- episodes -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GatoTokens:
    """An episode as Gato reads it.

    Attributes:
        ids: (L,) int64, NO_ID for patches.
        kinds: (L,) int64, indices into `KINDS`.
        timesteps: (L,) int64, the timestep that each token belongs to.
        patches: (P, channels, 16, 16), those of the tokens without id, in their order, or None.
    """

    ids: np.ndarray
    kinds: np.ndarray
    timesteps: np.ndarray
    patches: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def of_kind(self, kind: str) -> np.ndarray:
        """(L,) bool, True for tokens of ``kind``."""
        return self.kinds == KINDS.index(kind)


def tokenize_episode(
    episode: Mapping[str, Any], tokenizer: TextTokenizer | None = None
) -> GatoTokens:
    """The tokens of an episode, timestep after timestep.

    The episode has the columns of ``jatlab.data.episodes``; ``tokenizer`` is needed for missions.

    Raises:
        ValueError: the tokenizer or a column is missing, or an integer is no id of Gato's (0 to
            1,023).
    """
    observations = sorted(name for name in episode if name.endswith("_observations"))
    actions = [name for name in episode if name.endswith("_actions")]
    if not observations or len(actions) != 1:
        raise ValueError(
            f"an episode has observations and one column of actions; got {', '.join(episode)}"
        )
    pieces: list[tuple[np.ndarray, str, int]] = []  # (ids, kind, timestep)
    for t, action in enumerate(episode[actions[0]]):
        pieces += [(*_observation(name, episode[name][t], tokenizer), t) for name in observations]
        pieces += [(np.array([SEPARATOR]), "separator", t)]
        pieces += [(_action(actions[0], action), "action", t)]
    lengths = [len(ids) for ids, _, _ in pieces]
    patches = [cut_patches(frame) for frame in episode.get("image_observations", ())]
    return GatoTokens(
        ids=np.concatenate([ids for ids, _, _ in pieces]),
        kinds=np.repeat([KINDS.index(kind) for _, kind, _ in pieces], lengths),
        timesteps=np.repeat([t for *_, t in pieces], lengths),
        patches=np.concatenate(patches) if patches else None,
    )


def _observation(name: str, value: Any, tokenizer: TextTokenizer | None) -> tuple[np.ndarray, str]:
    """The ids and the kind of one observation of one timestep."""
    if name == "text_observations":
        if tokenizer is None:
            raise ValueError(
                "the episode has missions: tokenize_episode needs a tokenizer, "
                "such as TextTokenizer.load()"
            )
        return np.array(tokenizer.encode(value), np.int64), "text"
    if name == "image_observations":
        return np.full(_patches(*value.shape[-2:]), NO_ID), "patch"
    if name == "discrete_observations":
        return _integers(name, value), "integer"
    return encode_observation(value).ravel(), "real"


def _action(name: str, value: np.ndarray) -> np.ndarray:
    return _integers(name, value) if name == "discrete_actions" else encode_action(value).ravel()


def _integers(name: str, value: np.ndarray) -> np.ndarray:
    ids = np.ravel(value).astype(np.int64)
    if ((ids < 0) | (ids >= BINS)).any():
        raise ValueError(
            f"{name} hold {ids.min()} to {ids.max()}: Gato's integers are 0 to {BINS - 1}"
        )
    return ids


def _patches(height: int, width: int) -> int:
    return (height // PATCH) * (width // PATCH)


# --- counting -------------------------------------------------------------------------------------


def timestep_tokens(task: Task, mission_tokens: int = 0) -> int:
    """How many tokens one timestep of ``task`` has, such as Meta-World's 39 + 1 + 4.

    ``mission_tokens`` are those of its text, if it has one. Raises ValueError for a text task.
    """
    observation = {
        "continuous": task.observation_size,
        "discrete": task.observation_size + mission_tokens,
        "image": _patches(FRAME, FRAME),
    }
    if task.observation not in observation:
        raise ValueError(f"{task.name} has no timesteps: it is text")
    action = task.action_size if task.action == "continuous" else 1
    return observation[task.observation] + 1 + action
