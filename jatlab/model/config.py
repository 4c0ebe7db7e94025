"""The one configuration of the model, and its presets.

Field names are those of the published `config.json`. The last group is ours: choices that the paper
fixes, and that make no sense in a small model. Their defaults are the paper's.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields, replace

from jatlab.utils.checks import require

GRID_CELLS = 49
# a BabyAI observation: direction, then 7 x 7 x 3 grid values; the mission's tokens follow
GRID_INTEGERS = 1 + 3 * GRID_CELLS
GRID_CLASSES = 8  # classes of the published discrete observation decoder: grid values are 0 … 7


@dataclass
class JatConfig:
    """Sizes and choices of a `JatModel`. The default is the published JAT (192,701,771 parameters).

    Raises `ValueError` for sizes that do not fit together.
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
    # --- ours
    tokenizer: str = "gpt2"  # whose ids `wte` holds: "gpt2", or "jatlab" for the package's own
    # show the repeated copies of a continuous vector as sines of rising frequency
    continuous_fourier_features: bool = False
    # see and predict continuous observations as sign(x) ln(1 + |x|): speeds of thousands beside
    # metres
    continuous_symlog: bool = False
    # features an integer keeps in the discrete encoder; None: H // 50
    discrete_bottleneck: int | None = None
    discrete_encoder_layers: int = 0  # residual MLPs after the discrete encoder
    # features of each grid cell that the mission opens or closes, beside the published encoder
    discrete_gates: int = 0
    # the next grid from the action token; too dear at the paper's sizes
    predict_discrete_observations: bool = False
    # hidden features an integer has in that prediction; None: H
    discrete_decoder_size: int | None = None
    image_channels: tuple[int, int, int] = (32, 64, 128)
    # pool the 11 x 11 image features to this many a side before the linear layer
    image_pool: int | None = None
    image_decoder_side: int | None = (
        # side of the features that the next frame is drawn from; None: as many as the encoder's
        None
    )
    # share of the timesteps whose next frame is predicted in training, drawn anew for each batch
    frames_predicted: float = 1.0
    # share of the training batches that predict observations; the others do without action tokens:
    # half of the tokens
    observations_predicted: float = 1.0
    windows: dict = field(
        default_factory=dict
        # domain -> timesteps seen at once, in training and in acting, where fewer than fit ({"mujoco":
        # 8})
    )
    # of the discrete actions drawn in play, where nobody asks for another
    action_temperature: float = 1.0
    # share of training windows whose observations cannot see past actions; 1: never, in acting too
    past_action_dropout: float = 0.0

    def __post_init__(self):
        self.image_channels = tuple(self.image_channels)
        self.attention_layers  # raises where the pattern is wrong
        require(
            self.hidden_size % self.num_heads == 0,
            f"hidden_size {self.hidden_size} must be a multiple of num_heads {self.num_heads}",
        )
        require(
            self.activation_function == "gelu_new",
            f"activation_function {self.activation_function!r}: only 'gelu_new' (tanh form) is built",
        )
        require(
            self.image_size % self.patch_size == 0,
            f"image_size {self.image_size} must be a multiple of patch_size {self.patch_size}",
        )
        require(
            self.max_position_embeddings >= 2,
            f"max_position_embeddings {self.max_position_embeddings}: one timestep needs two positions",
        )
        require(
            0 <= self.past_action_dropout <= 1,
            f"past_action_dropout {self.past_action_dropout} is a share: between 0 and 1",
        )
        require(
            0 < self.observations_predicted <= 1,
            f"observations_predicted {self.observations_predicted} is a share: above 0, at most 1",
        )
        alone = self.observations_predicted == 1 or self.past_action_dropout == 1
        require(
            alone,
            f"observations_predicted {self.observations_predicted}: batches without action tokens need observations that never see past actions (past_action_dropout 1)",
        )
        require(
            0 < self.frames_predicted <= 1,
            f"frames_predicted {self.frames_predicted} is a share: above 0, at most 1",
        )
        require(
            self.action_temperature > 0,
            f"action_temperature {self.action_temperature}: expected a positive number (greedy play is asked for in play)",
        )
        for domain, timesteps in self.windows.items():
            require(
                2 <= timesteps <= self.max_timesteps,
                f"windows: {timesteps} timesteps of {domain}; expected 2 to {self.max_timesteps}, what fits into {self.max_position_embeddings} positions",
            )
        require(
            self.bottleneck > 0,
            f"hidden_size {self.hidden_size} // 50 leaves the discrete encoder nothing: set discrete_bottleneck",
        )
        require(
            not self.discrete_gates or self.max_text_tokens > 0,
            f"discrete_gates need mission tokens: max_discrete_value above {GRID_INTEGERS}",
        )
        for name in (
            "vocab_size",
            "hidden_size",
            "num_layers",
            "window_size",
            "max_discrete_value",
            "max_continuous_size",
        ):
            require(getattr(self, name) > 0, f"{name} must be positive, not {getattr(self, name)}")

    @property
    def attention_layers(self) -> list[str]:
        """The kind of each layer, "global" or "local", first layer first."""
        kinds = [
            kind for pattern, repeats in self.attention_types for kind in list(pattern) * repeats
        ]
        require(
            set(kinds) <= {"global", "local"},
            f"attention_types {self.attention_types}: kinds are 'global' and 'local'",
        )
        require(
            len(kinds) == self.num_layers,
            f"attention_types {self.attention_types} describes {len(kinds)} layers, num_layers is {self.num_layers}",
        )
        return kinds

    @property
    def max_timesteps(self) -> int:
        """Timesteps that fit into the positions: each costs two tokens."""
        return self.max_position_embeddings // 2

    def window(self, task) -> int:
        """Timesteps of a task seen at once: what fits into the positions, and no more than the
        task's published window and than its domain's in ``windows``.
        """
        return min(
            self.max_timesteps,
            task.max_timesteps or self.max_timesteps,
            self.windows.get(task.domain, self.max_timesteps),
        )

    @property
    def bottleneck(self) -> int:
        """Features that the discrete encoder keeps of each integer."""
        return (
            self.discrete_bottleneck
            if self.discrete_bottleneck is not None
            else self.hidden_size // 50
        )

    @property
    def mlp_size(self) -> int:
        return self.intermediate_size or 4 * self.hidden_size

    @property
    def max_text_tokens(self) -> int:
        """Mission tokens that fit behind the grid's integers."""
        return self.max_discrete_value - GRID_INTEGERS

    @classmethod
    def preset(cls, name: str, **changes) -> JatConfig:
        """A named size, with fields changed at will: `JatConfig.preset("nano", num_layers=2)`.

        `nano` is the demo's, `mini` at most 10 M parameters, `paper` the published model; `medium`
        and `large` are larger than published. Raises `ValueError` for an unknown name or field.
        """
        require(name in PRESETS, f"unknown preset {name!r}; there are {', '.join(PRESETS)}")
        return cls.from_dict({**PRESETS[name], **changes})

    @classmethod
    def from_dict(cls, values: dict) -> JatConfig:
        """The configuration from its fields; an unknown field is a `ValueError` that names it."""
        unknown = set(values) - {f.name for f in fields(cls)}
        require(
            not unknown,
            f"JatConfig has no field {', '.join(sorted(unknown))}; it has {', '.join(f.name for f in fields(cls))}",
        )
        return cls(**values)

    def to_dict(self) -> dict:
        return asdict(self)

    def replace(self, **changes) -> JatConfig:
        return replace(self, **changes)


def _dual(num_layers: int) -> list:
    return [[["global", "local"], num_layers // 2]]


_SMALL = dict(
    vocab_size=3072, tokenizer="jatlab", predict_discrete_observations=True, discrete_decoder_size=16, discrete_encoder_layers=1,
    past_action_dropout=1.0, continuous_fourier_features=True, image_size=112,
)  # fmt: skip

PRESETS = {
    "nano": dict(hidden_size=192, num_layers=4, num_heads=6, attention_types=_dual(4), max_position_embeddings=128, window_size=32,
                 discrete_bottleneck=8, discrete_gates=48, initializer_range=0.06, image_channels=(16, 32, 24), image_pool=6, **_SMALL),
    "mini": dict(hidden_size=256, num_layers=6, num_heads=8, attention_types=_dual(6), max_position_embeddings=256, window_size=64,
                 discrete_bottleneck=12, discrete_gates=48, initializer_range=0.05, image_channels=(32, 64, 24), image_decoder_side=6,
                 frames_predicted=0.125, **_SMALL),
    "paper": dict(),
    "medium": dict(hidden_size=2048, num_layers=24, num_heads=16, attention_types=_dual(24), max_position_embeddings=1024),
    "large": dict(hidden_size=2560, num_layers=32, num_heads=20, attention_types=_dual(32), max_position_embeddings=2048),
}  # fmt: skip
