"""How an agent plays unless it is told otherwise: `agent.json`, beside its `config.json`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from jatlab.model.checkpoint.official import old_play_settings, read_values
from jatlab.model.checkpoint.weights import WeightFile
from jatlab.model.memory import POLICIES
from jatlab.utils.checks import check_fields, check_temperature, require
from jatlab.utils.files import read_json, write_json

FILE = "agent.json"


@dataclass(frozen=True)
class AgentSettings:
    """The choices of play that belong to an agent.

    Attributes:
        temperature: divides the logits of discrete actions before one is drawn; 0: the
            likeliest is taken.
        windows: domain -> timesteps that the agent remembers there, where they are fewer than fit
            into its positions, such as {"mujoco": 8}.
        cache_policy: what happens when the memory is full, see `jatlab.model.memory`.
        retrieved: demonstrated timesteps that stand before each observation; 0: the agent is no
            in-context agent (`jatlab.agents.retrieval`), and remembers its episode instead.
        sharpness: lambda of an in-context agent: exp(-lambda d) is the weight of an action that was
            retrieved from d units away.
        frame_encoder: the agent, a folder or a name, whose encoder compared frames in an in-context
            agent's training; None: jatlab-mini.

    Raises:
        ValueError: for a temperature that is negative or no number, or an unknown policy.
    """

    temperature: float = 1.0
    windows: Mapping[str, int] = field(default_factory=dict)
    cache_policy: str = "recompute"
    retrieved: int = 0
    sharpness: float = 10.0
    frame_encoder: str | None = None

    def __post_init__(self) -> None:
        check_temperature(self.temperature)
        check_fields(self)
        for domain, timesteps in self.windows.items():
            require(timesteps >= 2, f"windows[{domain!r}] is {timesteps}: expected at least 2")
        for name in ("retrieved", "sharpness"):
            value = getattr(self, name)
            require(value >= 0, f"{name} is {value}: expected a number of at least 0")
        require(
            self.cache_policy in POLICIES,
            f"unknown cache policy {self.cache_policy!r}; there are {', '.join(POLICIES)}",
        )

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> AgentSettings:
        """The settings with these fields. Raises `ValueError` that names an unknown field."""
        known = [f.name for f in fields(cls)]
        unknown = sorted(set(values) - set(known))
        require(not unknown, f"no setting {', '.join(unknown)}; there are {', '.join(known)}")
        return cls(**values)

    @classmethod
    def load(cls, folder: Path) -> AgentSettings:
        """The settings of the agent in ``folder``.

        Without an `agent.json` they are taken from an old `config.json`, and an agent in the
        published layout keeps the authors' cache policy.

        Raises:
            ValueError: for a file that is damaged or has a field that is not known.
        """
        path = folder / FILE
        if not path.is_file():
            official = WeightFile(folder / "model.safetensors").official
            usual = {"cache_policy": "published"} if official else {}
            return cls(**usual | old_play_settings(read_values(folder / "config.json")))
        try:
            return cls.from_dict(read_json(path))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None

    def save(self, folder: Path) -> None:
        """Write `agent.json` into ``folder``."""
        write_json(folder / FILE, asdict(self))

    def replace(self, **changes: Any) -> AgentSettings:
        """A copy with some settings changed."""
        return replace(self, **changes)
