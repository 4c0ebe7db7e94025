"""The configuration of the network, and its presets.

Field names are those of the published `config.json`. A second group holds variants of the
architecture that the paper fixes and a small model needs; their defaults are the paper's. What
concerns only training is in `jatlab.training.recipe.TrainConfig`, what concerns only play in
`jatlab.agents.settings.AgentSettings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Protocol

from jatlab.utils.checks import check_fields, require, shortened

GRID_CELLS = 49
# a BabyAI observation: direction, then 7 x 7 x 3 grid values; the mission's tokens follow
GRID_INTEGERS = 1 + 3 * GRID_CELLS
GRID_CLASSES = 8  # classes of the published discrete observation decoder: grid values are 0 … 7

# What fields may be. A damaged file can ask for terabytes; these limits are far above any model.
MOST = 2**20
MOST_LAYERS = 10_000
POSITIVE = (
    "vocab_size", "hidden_size", "num_heads", "window_size", "max_discrete_value",
    "max_continuous_size", "max_position_embeddings", "image_size", "num_channels", "patch_size",
)  # fmt: skip
OPTIONAL = (
    "intermediate_size", "discrete_bottleneck", "discrete_decoder_size", "image_pool",
    "image_decoder_side",
)  # fmt: skip
COUNTS = ("discrete_encoder_layers", "discrete_gates")
DROPOUTS = ("resid_dropout", "embed_dropout", "attention_dropout")
REALS = (
    "layer_norm_epsilon", "initializer_range", "observation_loss_coef", "action_loss_coef",
)  # fmt: skip


class HasWindow(Protocol):
    """What `JatConfig.window` needs to know of a task."""

    @property
    def domain(self) -> str:
        """The task's domain, such as "mujoco"."""

    @property
    def max_timesteps(self) -> int | None:
        """The published window, or None."""


@dataclass
class JatConfig:
    """Sizes and variants of a `JatModel`.

    The default is the published JAT (192,701,771 parameters).

    Raises:
        ValueError: for sizes that do not fit together.
    """

    vocab_size: int = 50_257
    max_position_embeddings: int = 512  # tokens; a timestep costs two
    hidden_size: int = 768  # H
    num_layers: int = 12
    attention_types: list = field(default_factory=lambda: [[["global", "local"], 6]])
    num_heads: int = 12  # N; head size D = H / N
    intermediate_size: int | None = None  # None: 4 H
    window_size: int = 256  # tokens that a local layer sees, the token itself included
    activation_function: str = "gelu_new"
    resid_dropout: float = 0.0
    embed_dropout: float = 0.0
    attention_dropout: float = 0.0
    layer_norm_epsilon: float = 1e-5
    initializer_range: float = 0.02
    # integers of a discrete observation: the grid's 148, then 64 text tokens
    max_discrete_value: int = 212
    # features into which a continuous vector (and its reward) is repeated
    max_continuous_size: int = 377
    image_size: int = 224
    num_channels: int = 3
    patch_size: int = 16
    observation_loss_coef: float = 0.005
    action_loss_coef: float = 0.995

    # --- variants of the architecture, which the published configuration does not have
    tokenizer: str = "gpt2"  # "gpt2", or "jatlab" for the package's own
    # encode a continuous vector with Fourier features instead of plain repetition
    continuous_fourier_features: bool = False
    # encode and predict continuous observations as sign(x) ln(1 + |x|)
    continuous_symlog: bool = False
    discrete_bottleneck: int | None = None  # features kept of each integer; None: H // 50
    discrete_encoder_layers: int = 0  # residual MLPs after the discrete encoder
    # features of each grid cell that the mission gates, beside the published encoder; 0: none
    discrete_gates: int = 0
    # predict the next grid from the action token; too expensive at the paper's sizes
    predict_discrete_observations: bool = False
    discrete_decoder_size: int | None = None  # hidden features of an integer there; None: H
    image_channels: tuple[int, int, int] = (32, 64, 128)
    # pool the 11 x 11 image features to this side before the linear layer; None: no pooling
    image_pool: int | None = None
    # side of the features that the next frame is decoded from; None: the encoder's
    image_decoder_side: int | None = None
    # observation tokens never see past action tokens, in training and in play
    hide_past_actions: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        first, second, third = self.image_channels  # of a list, where they come from JSON
        self.image_channels = (first, second, third)
        self._check_ranges()
        self._check_trunk()
        self._check_encoders()

    def _check_ranges(self) -> None:
        for name in (*POSITIVE, *OPTIONAL, *COUNTS):
            value, least = getattr(self, name), 0 if name in COUNTS else 1
            require(
                (value is None and name in OPTIONAL) or least <= value <= MOST,
                f"{name} is {value}: expected {least} to {MOST:,}",
            )
        for channels in self.image_channels:
            require(1 <= channels <= MOST, f"image_channels has {channels}: expected 1 to {MOST:,}")
        for name in DROPOUTS:
            value = getattr(self, name)
            require(0 <= value < 1, f"{name} is {value}: expected a share from 0 to below 1")
        for name in REALS:
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value}: expected a number of at least 0")

    def _check_trunk(self) -> None:
        kinds = self.attention_layers
        require(
            len(kinds) == self.num_layers,
            f"attention_types {self.attention_types} describes {len(kinds)} layers, "
            f"num_layers is {self.num_layers}",
        )
        require(
            self.hidden_size % self.num_heads == 0,
            f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}",
        )
        require(
            self.activation_function == "gelu_new",
            f"activation_function {self.activation_function!r}: only 'gelu_new' (GELU's tanh form) "
            "is implemented",
        )
        require(
            self.max_position_embeddings >= 2,
            f"max_position_embeddings {self.max_position_embeddings}: one timestep needs two "
            "positions",
        )

    def _check_encoders(self) -> None:
        require(
            self.image_size % self.patch_size == 0,
            f"image_size {self.image_size} must be a multiple of patch_size {self.patch_size}",
        )
        require(
            self.bottleneck > 0,
            f"hidden_size {self.hidden_size} // 50 leaves no features for the discrete encoder: "
            "set discrete_bottleneck",
        )
        require(
            not self.discrete_gates or self.max_text_tokens > 0,
            f"discrete_gates need mission tokens: max_discrete_value above {GRID_INTEGERS}",
        )

    @property
    def attention_layers(self) -> list[str]:
        """The kind of each layer, "global" or "local", first layer first."""
        kinds: list[str] = []
        for entry in self.attention_types:
            pattern, repeats = _pattern(entry)
            require(
                1 <= len(pattern) * repeats <= MOST_LAYERS,
                f"attention_types has {len(pattern)} times {repeats} layers: expected 1 to "
                f"{MOST_LAYERS:,}",
            )
            kinds += pattern * repeats
        return kinds

    @property
    def max_timesteps(self) -> int:
        """Timesteps that fit into the positions: each costs two tokens."""
        return self.max_position_embeddings // 2

    def window(self, task: HasWindow, windows: Mapping[str, int] | None = None) -> int:
        """Timesteps of a task that the model sees at once.

        The smallest of what fits into the positions, the task's published window, and its domain's
        entry in ``windows``.

        Raises:
            ValueError: for an entry of ``windows`` that is below 2 or does not fit.
        """
        windows = windows or {}
        self.check_windows(windows)
        longest = self.max_timesteps
        return min(longest, task.max_timesteps or longest, windows.get(task.domain, longest))

    def check_windows(self, windows: Mapping[str, int]) -> None:
        """Raise `ValueError` unless each domain's timesteps fit into the positions."""
        for domain, timesteps in windows.items():
            require(
                2 <= timesteps <= self.max_timesteps,
                f"windows: {timesteps} timesteps of {domain}; expected 2 to {self.max_timesteps}, "
                f"which fit into {self.max_position_embeddings} positions",
            )

    @property
    def bottleneck(self) -> int:
        """Features that the discrete encoder keeps of each integer."""
        if self.discrete_bottleneck is None:
            return self.hidden_size // 50
        return self.discrete_bottleneck

    @property
    def mlp_size(self) -> int:
        """Hidden features of each block's MLP."""
        return self.intermediate_size or 4 * self.hidden_size

    @property
    def max_text_tokens(self) -> int:
        """Mission tokens that fit behind the grid's integers."""
        return self.max_discrete_value - GRID_INTEGERS

    @classmethod
    def preset(cls, name: str, **changes: Any) -> JatConfig:
        """A named size, with some fields changed: `JatConfig.preset("nano", num_layers=2)`.

        `nano` is the demo's, `mini` has at most 10 M parameters, `paper` is the published model;
        `medium` and `large` are larger than published.

        Raises:
            ValueError: for an unknown name or field.
        """
        require(name in PRESETS, f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
        return cls.from_dict({**PRESETS[name], **changes})

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> JatConfig:
        """The configuration with these fields. Raises `ValueError` that names an unknown field."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        require(
            not unknown,
            f"JatConfig has no field {', '.join(unknown)}; it has {', '.join(known)}",
        )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as `from_dict` takes them."""
        return asdict(self)

    def replace(self, **changes: Any) -> JatConfig:
        """A copy with some fields changed."""
        return replace(self, **changes)


def _pattern(entry: Any) -> tuple[list[str], int]:
    """An entry of `attention_types`: the kinds of a few layers, and how often they come."""
    is_pair = isinstance(entry, list | tuple) and len(entry) == 2
    pattern, repeats = entry if is_pair else ((), 0)
    require(
        is_pair
        and isinstance(pattern, list | tuple)
        and all(kind in ("global", "local") for kind in pattern)
        and type(repeats) is int,
        f"attention_types has {shortened(entry)}: expected a list of 'global' and 'local', and how "
        'often it comes, such as [["global", "local"], 6]',
    )
    return list(pattern), repeats


def _dual(num_layers: int) -> list:
    return [[["global", "local"], num_layers // 2]]


_SMALL: dict[str, Any] = dict(
    vocab_size=3072, tokenizer="jatlab", image_size=112, continuous_fourier_features=True,
    predict_discrete_observations=True, discrete_decoder_size=16, discrete_encoder_layers=1,
    discrete_gates=48, hide_past_actions=True,
)  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    "nano": dict(
        hidden_size=192, num_layers=4, num_heads=6, attention_types=_dual(4),
        max_position_embeddings=128, window_size=32, initializer_range=0.06,
        discrete_bottleneck=8, image_channels=(16, 32, 24), image_pool=6, **_SMALL,
    ),
    "mini": dict(
        hidden_size=256, num_layers=6, num_heads=8, attention_types=_dual(6),
        max_position_embeddings=256, window_size=64, initializer_range=0.05,
        discrete_bottleneck=12, image_channels=(32, 64, 24), image_decoder_side=6, **_SMALL,
    ),
    "paper": dict(),
    "medium": dict(
        hidden_size=2048, num_layers=24, num_heads=16, attention_types=_dual(24),
        max_position_embeddings=1024,
    ),
    "large": dict(
        hidden_size=2560, num_layers=32, num_heads=20, attention_types=_dual(32),
        max_position_embeddings=2048,
    ),
}  # fmt: skip
