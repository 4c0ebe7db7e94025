"""Gato's way of cutting an episode into tokens: one for each number (Reed et al. 2022, arXiv
2205.06175, section 2.1 and appendix B).

JAT makes one token of an observation. Gato makes one of each number in it, so that one vocabulary
serves everything:

- text: subwords, ids 0 … 31,999 (the paper's are SentencePiece's; here they are jatlab's, which are fewer);
- real numbers of an observation: mu-law companded, clipped to [-1, 1], 1,024 bins of equal width, ids 32,000 … 33,023;
- real numbers of an action: the same without companding, because actions lie in [-1, 1] anyway;
- integers (grid values, buttons): as they are, in row-major order; they share the first ids with text;
- pictures: patches of 16 x 16 pixels in raster order, scaled to [-1, 1] and divided by 4; a patch has no id, its vector comes from its pixels;
- a timestep: its observations, ordered by name; a separator; its action. Rewards have no token.

Two choices are ours, because the paper leaves them open: the separator's id is the first that is
free, and an edge that is no multiple of 16 is cropped (an Atari frame of 84 x 84 to 80 x 80, its
four stacked frames as channels), which is the cheapest for Gato.

Letters: T timesteps, L tokens, P patches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jatlab.model.tokenization import TextTokenizer
    from jatlab.tasks import Task

TEXT_IDS, BINS = 32_000, 1_024
SEPARATOR = TEXT_IDS + BINS
NO_ID = -1  # of a patch
MU, LIMIT = 100, 256  # the paper's mu and M: values of +-LIMIT are companded to +-1
PATCH = 16  # pixels
KINDS = ("text", "patch", "integer", "real", "separator", "action")


# --- numbers
# -----------------------------------------------------------------------------------------------------------------


def mu_law(x: np.ndarray) -> np.ndarray:
    """Compand: sign(x) log(MU |x| + 1) / log(MU LIMIT + 1). Small values get more room than large
    ones.
    """
    x = np.asarray(x, np.float64)
    return np.sign(x) * np.log1p(MU * np.abs(x)) / np.log1p(MU * LIMIT)


def inverse_mu_law(y: np.ndarray) -> np.ndarray:
    """What `mu_law` was given."""
    y = np.asarray(y, np.float64)
    return np.sign(y) * np.expm1(np.abs(y) * np.log1p(MU * LIMIT)) / MU


def to_bins(y: np.ndarray) -> np.ndarray:
    """The bin, 0 … 1,023, of each value, clipped to [-1, 1]. Raises ValueError for NaN, which has
    none.
    """
    y = np.asarray(y, np.float64)
    if np.isnan(y).any():
        raise ValueError("NaN has no bin: expected numbers")
    bins = np.floor((np.clip(y, -1, 1) + 1) / 2 * BINS).astype(np.int64)
    return np.minimum(bins, BINS - 1)  # 1 itself belongs to the last bin


def from_bins(bins: np.ndarray) -> np.ndarray:
    """The middle of each bin, in [-1, 1]."""
    return (np.asarray(bins) + 0.5) / BINS * 2 - 1


def bin_edges() -> np.ndarray:
    """Where an observation's bins begin and end, in its own units: (1,025,), from -256 to 256."""
    return inverse_mu_law(np.linspace(-1, 1, BINS + 1))


def encode_observation(values: np.ndarray) -> np.ndarray:
    """Real numbers of an observation -> ids, of the same shape."""
    return TEXT_IDS + to_bins(mu_law(values))


def decode_observation(ids: np.ndarray) -> np.ndarray:
    """The middle of each id's bin, in the observation's units."""
    return inverse_mu_law(from_bins(_bins_of(ids)))


def encode_action(values: np.ndarray) -> np.ndarray:
    """Real numbers of an action -> ids, of the same shape. What lies outside [-1, 1] is clipped."""
    return TEXT_IDS + to_bins(values)


def decode_action(ids: np.ndarray) -> np.ndarray:
    """The middle of each id's bin, in [-1, 1]."""
    return from_bins(_bins_of(ids))


def _bins_of(ids: np.ndarray) -> np.ndarray:
    bins = np.asarray(ids) - TEXT_IDS
    if ((bins < 0) | (bins >= BINS)).any():
        raise ValueError(
            f"ids of real numbers are {TEXT_IDS} to {TEXT_IDS + BINS - 1}; got {np.min(ids)} to {np.max(ids)}"
        )
    return bins


# --- pictures
# ----------------------------------------------------------------------------------------------------------------


def cut_patches(picture: np.ndarray) -> np.ndarray:
    """A picture uint8 (channels, h, w) -> float32 (P, channels, 16, 16) in raster order, scaled to
    [-1, 1] and divided by 4.

    Raises ValueError for a picture that is smaller than a patch.
    """
    channels, height, width = picture.shape
    rows, columns = height // PATCH, width // PATCH
    if not rows or not columns:
        raise ValueError(
            f"a picture of {height} x {width} pixels holds no patch of {PATCH} x {PATCH}"
        )
    top, left = (height - rows * PATCH) // 2, (width - columns * PATCH) // 2
    middle = picture[:, top : top + rows * PATCH, left : left + columns * PATCH]
    patches = middle.reshape(channels, rows, PATCH, columns, PATCH).transpose(
        1, 3, 0, 2, 4
    )  # (rows, columns, channels, 16, 16)
    return (patches.reshape(-1, channels, PATCH, PATCH) / 127.5 - 1).astype(
        np.float32
    ) / np.float32(PATCH**0.5)


# --- episodes
# ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class GatoTokens:
    """An episode as Gato reads it. ``ids`` (L,): NO_ID for patches; ``kinds`` (L,): places in
    `KINDS`; ``timesteps`` (L,): which one a token belongs to; ``patches`` (P, channels, 16, 16),
    those of the tokens without id in their order, or None.
    """

    ids: np.ndarray
    kinds: np.ndarray
    timesteps: np.ndarray
    patches: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def of_kind(self, kind: str) -> np.ndarray:
        """(L,) True where a token is of ``kind``."""
        return self.kinds == KINDS.index(kind)


def tokenize_episode(episode: dict, tokenizer: TextTokenizer | None = None) -> GatoTokens:
    """The tokens of an episode (columns as in ``jatlab.data.episodes``), timestep after timestep.

    ``tokenizer`` is needed for missions. Raises ValueError without it, for a missing column, or an
    integer that is no id of Gato's (0 … 1,023).
    """
    observations = sorted(name for name in episode if name.endswith("_observations"))
    actions = [name for name in episode if name.endswith("_actions")]
    if not observations or len(actions) != 1:
        raise ValueError(
            f"an episode has observations and one column of actions; got {', '.join(episode)}"
        )
    pieces = []  # (ids, kind, timestep)
    for t in range(len(episode[actions[0]])):
        pieces += [(*_observation(name, episode[name][t], tokenizer), t) for name in observations]
        pieces += [
            (np.array([SEPARATOR]), "separator", t),
            (_action(actions[0], episode[actions[0]][t]), "action", t),
        ]
    lengths = [len(ids) for ids, _, _ in pieces]
    kinds, timesteps = (
        np.repeat([KINDS.index(kind) for _, kind, _ in pieces], lengths),
        np.repeat([t for *_, t in pieces], lengths),
    )
    patches = [cut_patches(frame) for frame in episode.get("image_observations", ())]
    return GatoTokens(
        np.concatenate([ids for ids, _, _ in pieces]),
        kinds,
        timesteps,
        np.concatenate(patches) if patches else None,
    )


def _observation(name: str, value, tokenizer: TextTokenizer | None) -> tuple[np.ndarray, str]:
    """The ids and the kind of one observation of one timestep."""
    if name == "text_observations":
        if tokenizer is None:
            raise ValueError(
                "the episode has missions: tokenize_episode needs a tokenizer, such as TextTokenizer.load()"
            )
        return np.array(tokenizer.encode(value), np.int64), "text"
    if name == "image_observations":
        return np.full(_patches(*value.shape[-2:]), NO_ID), "patch"
    return (
        (_integers(name, value), "integer")
        if name == "discrete_observations"
        else (encode_observation(value).ravel(), "real")
    )


def _action(name: str, value) -> np.ndarray:
    return _integers(name, value) if name == "discrete_actions" else encode_action(value).ravel()


def _integers(name: str, value) -> np.ndarray:
    ids = np.ravel(value).astype(np.int64)
    if ((ids < 0) | (ids >= BINS)).any():
        raise ValueError(
            f"{name} hold {ids.min()} to {ids.max()}: Gato's integers are 0 to {BINS - 1}"
        )
    return ids


def _patches(height: int, width: int) -> int:
    return (height // PATCH) * (width // PATCH)


# --- counting
# ----------------------------------------------------------------------------------------------------------------


def timestep_tokens(task: Task, mission_tokens: int = 0) -> int:
    """How many tokens one timestep of ``task`` costs: Meta-World's 39 + 1 + 4. ``mission_tokens``:
    of its text, where it has one.
    """
    frame = 84  # pixels a side
    observation = {
        "continuous": task.observation_size,
        "discrete": task.observation_size + mission_tokens,
        "image": _patches(frame, frame),
    }
    if task.observation not in observation:
        raise ValueError(f"{task.name} has no timesteps: it is text")
    return (
        observation[task.observation] + 1 + (task.action_size if task.action == "continuous" else 1)
    )
