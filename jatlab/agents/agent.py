"""The agent: a model that remembers and acts, in one environment or in several in lockstep."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from jatlab.agents.checks import (
    check_lengths,
    check_observation,
    check_remembers,
    checked_mission,
    checked_rewards,
    checked_seeds,
    checked_starts,
)
from jatlab.agents.last_step import LastStep
from jatlab.agents.sampling import draw, tempered
from jatlab.agents.settings import AgentSettings
from jatlab.agents.travelling import Travelling
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.linear.int8 import to_int8
from jatlab.model.memory import Memory, Recall
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import Task, get_task
from jatlab.tasks.task import Action, Observation
from jatlab.utils.checks import check_temperature, require

# attributes of an agent that do not travel to another process, or travel as `_rebuild`'s arguments
NOT_SENT = frozenset({
    "model", "tokenizer", "info", "settings", "context", "task", "memory", "generators", "last",
    "_last_actions", "_missions", "_tokens",
})  # fmt: skip


class Agent(Travelling):
    """A `JatModel` that acts.

    `agent.reset(n, task)` forgets everything; `agent.act(observations, rewards, starts)` answers
    with n actions, from one cached forward pass. Discrete actions are sampled, continuous ones are
    the raw prediction (fact sheet, "Acting").

    Args:
        model: the network.
        tokenizer: of missions and text; None: the one that the model's configuration names.
        info: what is known about the agent, such as its name and training.
        settings: how it plays unless `act` is told otherwise.
        context: timesteps to remember, if fewer than `settings` allows.
    """

    def __init__(
        self,
        model: JatModel,
        tokenizer: TextTokenizer | None = None,
        info: dict[str, Any] | None = None,
        settings: AgentSettings | None = None,
        context: int | None = None,
    ):
        self.model = model.eval()
        self.tokenizer = tokenizer or TextTokenizer.load(model.config.tokenizer)
        self.info = info or {}
        self.settings, self.context = settings or AgentSettings(), context
        model.config.check_windows(self.settings.windows)
        self.record_attention = False
        self.seed(0)
        self._missions: dict[str, np.ndarray] = {}

    @classmethod
    def untrained(cls, preset: str = "nano", seed: int = 0) -> Agent:
        """An agent with the weights that ``seed`` gives: a baseline that anyone can repeat.

        Raises `ValueError` for an unknown preset.
        """
        config = JatConfig.preset(preset)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(JatModel(config), info={"name": f"untrained:{preset}"})

    def __reduce__(self) -> tuple[Callable[..., Agent], tuple[Any, ...], dict[str, Any]]:
        """Send the weights to another process as safetensors' bytes.

        Torch would share them through /dev/shm, which is tiny in many containers. A subclass stays
        one and keeps its attributes; what an agent remembers of an episode stays behind.
        """
        state = self.model.state_dict()
        own = {name: value for name, value in vars(self).items() if name not in NOT_SENT}
        weights = safetensors.torch.save(
            {name: value.detach().contiguous() for name, value in state.items()}
        )
        model = type(self.model), self.model.config, weights
        others = (self.tokenizer, self.info, self.settings, self.context, str(self.device))
        return _rebuild, (type(self), *model, *others), own

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.model.text_embedding.weight.device

    @property
    def temperature(self) -> float:
        """At which discrete actions are drawn, unless `act` is told another."""
        return self.settings.temperature

    @property
    def cache_policy(self) -> str:
        """What happens when the memory is full, see `jatlab.model.memory`."""
        return self.settings.cache_policy

    def window(self, task: Task) -> int:
        """Timesteps of ``task`` that the agent remembers, unless its `context` is shorter."""
        return self.model.config.window(task, self.settings.windows)

    def seed(self, seed: int) -> None:
        """Seed the sampling of actions, for rows that `act` gives no seed of their own."""
        self._seeds = np.random.SeedSequence(seed)

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Forget, and get ready for ``n`` environments of ``task`` in lockstep."""
        if task is None:
            raise ValueError(
                "agent.reset needs the task that will be played: "
                "agent.reset(n, task='babyai-go-to-obj')"
            )
        self._check_memory()
        self.task = get_task(task) if isinstance(task, str) else task
        choices, words = self.task.action_size, self.model.config.vocab_size
        require(
            self.task.action == "continuous" or choices <= words,
            f"{self.task.name} has {choices:,} choices, and the model has a vocabulary of "
            f"{words:,}: it could never take the others. Take a model with a larger vocab_size",
        )
        window, published = self.window(self.task), self.cache_policy == "published"
        longest = self.model.config.max_timesteps // (2 if published else 1)
        context = min(self.context or window, window, longest)
        self.memory = Memory(self.model, n, self.cache_policy, context)
        self.generators = [np.random.default_rng(seed) for seed in self._seeds.spawn(n)]
        self._last_actions = self._no_action(n)
        self.last: LastStep | None = None

    @overload
    def act(
        self,
        observations: Observation,
        rewards: float = 0.0,
        starts: bool | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> Action: ...
    @overload
    def act(
        self,
        observations: Sequence[Observation],
        rewards: float | Sequence[float] | np.ndarray = 0.0,
        starts: bool | Sequence[bool] | np.ndarray | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> list[Action]: ...
    def act(
        self,
        observations: Sequence[Observation] | Observation,
        rewards: float | Sequence[float] | np.ndarray = 0.0,
        starts: bool | Sequence[bool] | np.ndarray | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> list[Action] | Action:
        """The next action of each environment: an int, or float32 (m,).

        Args:
            observations: n of them; or one, for one environment, then one action is returned.
            rewards: (n,), what came with them; ignored where an episode begins.
            starts: (n,), where an episode begins; None: at the first call after `reset`.
            greedy: take the likeliest action, do not sample.
            temperature: of sampling, 0 for the likeliest action; None: the agent's.
            seeds: (n,), from which the sampling restarts where an episode begins; None: goes on.

        Raises:
            ValueError: for a wrong number, kind, size or value.
        """
        if isinstance(observations, dict):
            one = None if starts is None else np.array([starts])
            got: Any = [rewards]
            return self.act([observations], got, one, greedy, temperature, seeds)[0]
        n = len(self._ready())
        begins = checked_starts([self.last is None] * n if starts is None else starts)
        received = checked_rewards(rewards, begins)
        check_lengths(n, observations, received, begins, seeds)
        for observation in observations:
            check_observation(observation, self.task)
        temperature = self.temperature if temperature is None else check_temperature(temperature)
        if seeds is not None:
            self._restart_generators(begins, checked_seeds(seeds))
        recall = self._recall(observations, received, begins)
        actions, probabilities = self._choose(recall.observation, greedy, temperature)
        self.last = LastStep(probabilities, recall, self._expected)
        return actions

    def attention_for_bertviz(
        self,
        episode: dict[str, Any],
        start: int = 0,
        stop: int | None = None,
        layers: Sequence[int] | None = None,
    ) -> dict[str, Any]:
        """Keyword arguments for `bertviz.head_view(**...)`: who attended to whom.

        Args:
            episode: from `rollout(agent, env, record_attention=True)`.
            start: the first timestep.
            stop: the timestep after the last.
            layers: of the model.

        See `jatlab.agents.attention_record.for_bertviz`.
        """
        from jatlab.agents.attention_record import for_bertviz

        return for_bertviz(episode, start, stop, layers, self.model.config.attention_layers)

    # --- sense

    @torch.inference_mode()
    def _recall(
        self, observations: Sequence[Observation], rewards: np.ndarray, starts: np.ndarray
    ) -> Recall:
        name, values = self.observe(observations)
        reward = torch.tensor(rewards, dtype=torch.float32, device=self.device)
        observed = self.model.embed_observations(name, values[:, None], reward[:, None])[:, 0]
        actions = f"{self.task.action}_actions"
        acted = self.model.embed_actions(actions, self._last_actions[:, None])[:, 0]
        begin = torch.tensor(starts, device=self.device)
        return self.memory.step(observed, acted, begin, self.record_attention)

    def observe(self, observations: Sequence[Observation]) -> tuple[str, Tensor]:
        """The model's input: its name, and (n, values), (n, integers) or (n, 4, 84, 84)."""
        kind = self.task.observation
        values = np.stack([np.asarray(o[f"{kind}_observation"]) for o in observations])
        if kind == "discrete":
            missions = np.stack([self._mission(o["text_observation"]) for o in observations])
            values = np.concatenate([values, missions], axis=1)
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        if kind == "image":
            tensor = tensor.float() / 127.5 - 1
        return f"{kind}_observations", tensor if kind == "discrete" else tensor.float()

    def _mission(self, text: str) -> np.ndarray:
        if text not in self._missions:
            length = self.model.config.max_text_tokens
            self._missions[text] = self.tokenizer.encode_batch([checked_mission(text)], length)[0]
        return self._missions[text]

    # --- choose

    @torch.inference_mode()
    def _choose(
        self, hidden: Tensor, greedy: bool, temperature: float
    ) -> tuple[list[Action], np.ndarray | None]:
        """Actions, and the probabilities (n, actions) of discrete ones, from (n, H)."""
        predicted = self._predict(hidden, temperature)
        if self.task.action == "continuous":
            self._last_actions = predicted
            return list(self._last_actions.float().cpu().numpy().copy()), None
        probabilities = predicted.cpu().numpy()
        likeliest = greedy or temperature == 0
        chosen = probabilities.argmax(-1) if likeliest else draw(probabilities, self.generators)
        self._last_actions = torch.tensor(chosen, device=self.device)
        return [int(action) for action in chosen], probabilities

    def _predict(self, hidden: Tensor, temperature: float) -> Tensor:
        """The actions (n, m), or the probabilities (n, actions) of discrete ones, from (n, H)."""
        size = self.task.action_size
        if self.task.action == "continuous":
            return self.model.continuous_decoder(hidden)[:, :size]
        # discrete actions are the first words of the vocabulary
        logits = F.linear(hidden, self.model.token_decoder.weight[:size])
        return tempered(logits.float(), temperature)

    @torch.inference_mode()
    def _expected(self, hidden: Tensor) -> np.ndarray | None:
        """The observations (n, …) predicted from the last actions' hidden states (n, H)."""
        name = f"{self.task.observation}_observations"
        features = self.model.decode_observations(name, hidden[:, None])
        if features is None:
            return None
        features = features[:, 0]
        if self.task.observation == "discrete":
            return features.argmax(-1).cpu().numpy()
        if self.task.observation == "continuous":
            features = self.model.denormalise(name, features[:, : self.task.observation_size])
        return features.float().cpu().numpy()

    # --- begin

    def _ready(self) -> list[np.random.Generator]:
        if not hasattr(self, "generators"):
            raise ValueError(
                "agent.act comes after agent.reset(n, task): the task is not known yet"
            )
        return self.generators

    def _check_memory(self) -> None:
        """Refuse to play as an ordinary agent where the weights are an in-context agent's."""
        check_remembers(self.settings.retrieved, self.info.get("name", "this"))

    def _no_action(self, n: int) -> Tensor:
        if self.task.action == "continuous":
            return torch.zeros(n, self.task.action_size, device=self.device)
        return torch.zeros(n, dtype=torch.long, device=self.device)

    def _restart_generators(self, starts: np.ndarray, seeds: Sequence[int | None]) -> None:
        for row in np.flatnonzero(starts).tolist():
            if seeds[row] is not None:
                self.generators[row] = np.random.default_rng(seeds[row])


def _rebuild(
    kind: type[Agent],
    model_kind: type[JatModel],
    config: JatConfig,
    weights: bytes,
    tokenizer: TextTokenizer,
    info: dict[str, Any],
    settings: AgentSettings,
    context: int | None,
    device: str,
) -> Agent:
    tensors = safetensors.torch.load(weights)
    with torch.device("meta"):
        model = model_kind(config)
    if any(tensor.dtype == torch.int8 for tensor in tensors.values()):
        to_int8(model)
    model.load_state_dict(tensors, assign=True)
    agent = kind.__new__(kind)
    Agent.__init__(agent, model.to(device), tokenizer, info, settings, context)
    return agent
