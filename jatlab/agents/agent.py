"""The agent: a model that remembers and acts, in one environment or in many of the same task in
lockstep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from torch import Tensor

from jatlab.agents.settings import AgentSettings
from jatlab.model import JatModel
from jatlab.model.config import GRID_INTEGERS, JatConfig
from jatlab.model.memory import Memory, Recall
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import Task, get_task, make_env
from jatlab.teachers.base import RandomTeacher


@dataclass
class LastStep:
    """What the agent computed in its last `act`, for n environments."""

    probabilities: np.ndarray | None  # (n, actions), of discrete actions
    recall: Recall
    _expect: object

    @property
    def attentions(self) -> list[np.ndarray]:
        """Per layer (n, N, S): how the observation's token weighs the tokens it remembers. Empty
        unless `agent.record_attention`.
        """
        return [weights.float().cpu().numpy() for weights in self.recall.attentions]

    @property
    def action_attentions(self) -> list[np.ndarray]:
        """The same of the last action's token, (n, N, S): what it weighed to predict this
        observation.
        """
        return [weights.float().cpu().numpy() for weights in self.recall.action_attentions]

    @property
    def key_index(self) -> np.ndarray:
        """(n, S): which token each weight belongs to: 2t for the observation, 2t + 1 for the action
        of timestep t in the window; -1 for none.
        """
        return self.recall.key_index.cpu().numpy()

    @cached_property
    def pred_observations(self) -> np.ndarray | None:
        """The observation that the agent had expected to see now, (n, …), from its last action on;
        None where nothing predicts it.
        """
        return self._expect(self.recall.action)


class Agent:
    """A `JatModel` that acts.

    `agent.reset(n, task)` forgets everything; `agent.act(observations, rewards, starts)` answers
    with n actions, from one cached forward pass. Discrete actions are sampled, continuous ones are
    the raw prediction (fact sheet, "Acting").

    `settings`: how it plays unless `act` is told otherwise; `context`: timesteps to remember, fewer
    than `settings` allows.
    """

    def __init__(
        self,
        model: JatModel,
        tokenizer: TextTokenizer | None = None,
        info: dict | None = None,
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
        """An agent whose weights are as drawn from `seed`: a baseline that anyone can repeat.
        Raises `ValueError` for an unknown preset.
        """
        config = JatConfig.preset(preset)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return cls(JatModel(config), info={"name": f"untrained:{preset}"})

    def __reduce__(self):
        """How an agent comes to another process: its weights as safetensors' bytes. Torch would
        share them through /dev/shm, tiny in many containers.
        """
        weights = safetensors.torch.save(
            {name: value.detach().contiguous() for name, value in self.model.state_dict().items()}
        )
        return _arrive, (
            self.model.config,
            weights,
            self.tokenizer,
            self.info,
            self.settings,
            self.context,
        )

    @property
    def device(self) -> torch.device:
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
        """Forget, and get ready for `n` environments of `task` in lockstep."""
        if task is None:
            raise ValueError(
                "agent.reset needs the task that will be played: agent.reset(n, task='babyai-go-to-obj')"
            )
        self.task = get_task(task) if isinstance(task, str) else task
        window, policy_limit = (
            self.window(self.task),
            self.model.config.max_timesteps // (2 if self.cache_policy == "published" else 1),
        )
        self.memory = Memory(
            self.model, n, self.cache_policy, min(self.context or window, window, policy_limit)
        )
        self.generators = [np.random.default_rng(seed) for seed in self._seeds.spawn(n)]
        self._last_actions = self._no_action(n)
        self.last: LastStep | None = None

    def act(
        self,
        observations: Sequence[dict] | dict,
        rewards: Sequence[float] | float = 0.0,
        starts: Sequence[bool] | bool | None = None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds: Sequence[int | None] | None = None,
    ) -> list | int | np.ndarray:
        """The next action of each environment: an int, or float32 (m,).

        `observations`: one dict per environment (or one dict, for one environment); `rewards` (n,):
        what came with them; `starts` (n,): where an episode begins (default: at the first call
        after `reset`). `seeds` (n,): where an episode begins, restart its sampling from this seed.
        `greedy` takes the likeliest action, `temperature` is the agent's own unless given. Raises
        `ValueError` for a wrong number, kind, size or value.
        """
        if isinstance(observations, dict):
            return self.act(
                [observations],
                [rewards],
                None if starts is None else [starts],
                greedy,
                temperature,
                seeds,
            )[0]
        n = len(self.generators)
        starts = np.full(n, self.last is None) if starts is None else np.asarray(starts, dtype=bool)
        rewards = np.where(
            starts, 0.0, np.asarray(rewards, dtype=np.float32)
        )  # nothing came before the first observation
        self._check(observations, rewards, starts)
        self._restart_generators(starts, seeds)
        recall = self._recall(observations, rewards, starts)
        actions, probabilities = self._choose(
            recall.observation, greedy, self.temperature if temperature is None else temperature
        )
        self.last = LastStep(probabilities, recall, self._expected)
        return actions

    def attention_for_bertviz(
        self,
        episode: dict,
        start: int = 0,
        stop: int | None = None,
        layers: Sequence[int] | None = None,
    ) -> dict:
        """Keyword arguments for `bertviz.head_view(**...)`: who looked at whom from timestep
        `start` to before `stop` of an episode that `rollout(agent, env, record_attention=True)`
        returned. See `jatlab.agents.attention_record.for_bertviz`.
        """
        from jatlab.agents.attention_record import for_bertviz

        return for_bertviz(episode, start, stop, layers, self.model.config.attention_layers)

    # --- sense
    # ---------------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _recall(
        self, observations: Sequence[dict], rewards: np.ndarray, starts: np.ndarray
    ) -> Recall:
        name, values = self.observe(observations)
        reward = torch.tensor(rewards, dtype=torch.float32, device=self.device)
        observed = self.model.embed_observations(name, values[:, None], reward[:, None])[:, 0]
        acted = self.model.embed_actions(
            f"{self.task.action}_actions", self._last_actions[:, None]
        )[:, 0]
        return self.memory.step(
            observed, acted, torch.tensor(starts, device=self.device), self.record_attention
        )

    def observe(self, observations: Sequence[dict]) -> tuple[str, Tensor]:
        """The model's input: (n, values), (n, integers) or (n, 4, 84, 84) in [-1, 1]."""
        values = np.stack(
            [np.asarray(o[f"{self.task.observation}_observation"]) for o in observations]
        )
        if self.task.observation == "discrete":
            values = np.concatenate(
                [values, np.stack([self._mission(o["text_observation"]) for o in observations])],
                axis=1,
            )
        tensor = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        if self.task.observation == "image":
            tensor = tensor.float() / 127.5 - 1
        return (
            f"{self.task.observation}_observations",
            tensor if self.task.observation == "discrete" else tensor.float(),
        )

    def _mission(self, text: str) -> np.ndarray:
        if text not in self._missions:
            self._missions[text] = self.tokenizer.encode_batch(
                [text], self.model.config.max_text_tokens
            )[0]
        return self._missions[text]

    # --- choose
    # --------------------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def _choose(
        self, hidden: Tensor, greedy: bool, temperature: float
    ) -> tuple[list, np.ndarray | None]:
        size = self.task.action_size
        if self.task.action == "continuous":
            self._last_actions = self.model.continuous_decoder(hidden)[:, :size]
            return list(self._last_actions.float().cpu().numpy()), None
        logits = F.linear(
            hidden, self.model.token_decoder.weight[:size]
        )  # acting keeps the first logits of the vocabulary
        probabilities = (logits.float() / temperature).softmax(-1).cpu().numpy()
        chosen = probabilities.argmax(-1) if greedy else self._sample(probabilities)
        self._last_actions = torch.tensor(chosen, device=self.device)
        return [int(action) for action in chosen], probabilities

    def _sample(self, probabilities: np.ndarray) -> np.ndarray:
        """One draw a row, each from its own generator, by the inverse of the distribution function."""
        draws = np.array([generator.random() for generator in self.generators])[:, None]
        return (
            (probabilities.cumsum(-1) < draws * probabilities.sum(-1, keepdims=True))
            .sum(-1)
            .clip(max=probabilities.shape[-1] - 1)
        )

    @torch.inference_mode()
    def _expected(self, hidden: Tensor) -> np.ndarray | None:
        name = f"{self.task.observation}_observations"
        features = self.model.decode_observations(name, hidden[:, None])
        if features is None:
            return None
        features = features[:, 0]
        features = (
            self.model.denormalise(name, features[:, : self.task.observation_size])
            if self.task.observation == "continuous"
            else features
        )
        return (
            (features.argmax(-1) if self.task.observation == "discrete" else features.float())
            .cpu()
            .numpy()
        )

    # --- check
    # ---------------------------------------------------------------------------------------------------------------

    def _no_action(self, n: int) -> Tensor:
        if self.task.action == "continuous":
            return torch.zeros(n, self.task.action_size, device=self.device)
        return torch.zeros(n, dtype=torch.long, device=self.device)

    def _restart_generators(self, starts: np.ndarray, seeds: Sequence[int | None] | None) -> None:
        for row in np.flatnonzero(starts) if seeds is not None else ():
            if seeds[row] is not None:
                self.generators[row] = np.random.default_rng(seeds[row])

    def _check(self, observations: Sequence[dict], rewards: np.ndarray, starts: np.ndarray) -> None:
        n = len(self.generators)
        if not len(observations) == len(rewards) == len(starts) == n:
            raise ValueError(
                f"the agent was reset for {n} environments; it got {len(observations)} observations, {len(rewards)} rewards, {len(starts)} starts"
            )
        if not np.isfinite(rewards).all():
            raise ValueError(
                f"rewards must be finite numbers, not {rewards[~np.isfinite(rewards)][0]}"
            )
        for observation in observations:
            check_observation(observation, self.task)


def _arrive(config: JatConfig, weights: bytes, *rest) -> Agent:
    with torch.device("meta"):
        model = JatModel(config)
    model.load_state_dict(safetensors.torch.load(weights), assign=True)
    return Agent(model, *rest)


def check_observation(observation: dict, task: Task) -> None:
    """Raise `ValueError` unless `observation` is what `task` gives: the right key, shape, dtype and
    finite values.
    """
    key = f"{task.observation}_observation"
    if not isinstance(observation, dict) or key not in observation:
        got = (
            ", ".join(observation) if isinstance(observation, dict) else type(observation).__name__
        )
        raise ValueError(f"an observation of {task.name} is a dict with {key!r}; got {got}")
    value = np.asarray(observation[key])
    shape = {
        "continuous": (task.observation_size,),
        "discrete": (GRID_INTEGERS,),
        "image": (4, 84, 84),
    }[task.observation]
    if value.shape != shape:
        raise ValueError(f"{key} of {task.name} has shape {shape}, not {value.shape}")
    if task.observation != "continuous" and value.dtype.kind not in "iu":
        raise ValueError(f"{key} of {task.name} holds integers, not {value.dtype}")
    if not np.isfinite(value).all():
        raise ValueError(
            f"{key} of {task.name} holds NaN or infinity: the environment has diverged, reset it"
        )
    if task.observation == "discrete" and not isinstance(observation.get("text_observation"), str):
        raise ValueError(
            f"an observation of {task.name} has its mission as a string under 'text_observation'"
        )


class RandomAgent:
    """The random policy, with the calls of `Agent`: what our random scores are measured with."""

    def __init__(self, seed: int = 0):
        self._seeds = np.random.SeedSequence(seed)
        self.info = {"name": "random"}

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        self._env = make_env(
            get_task(task).name if isinstance(task, str) else task.name, render_mode=None
        )  # for its action space alone
        self._players = [RandomTeacher() for _ in range(n)]
        for player, seed in zip(self._players, self._seeds.generate_state(n)):
            player.reset(self._env, int(seed))

    def act(
        self, observations, rewards=0.0, starts=None, greedy=False, temperature=None, seeds=None
    ):
        if isinstance(observations, dict):
            return self.act(
                [observations], [rewards], None if starts is None else [starts], seeds=seeds
            )[0]
        for row in np.flatnonzero(starts) if seeds is not None and starts is not None else ():
            self._players[row].reset(self._env, seeds[row])
        return [player.act(observation) for player, observation in zip(self._players, observations)]


def rollout(
    agent,
    env,
    seed: int | None = None,
    max_steps: int | None = None,
    record_attention: bool = False,
    render: bool = False,
    record_predictions: bool = False,
    **choice,
) -> dict:
    """Play one episode in `env` (one made by `jatlab.make_env`) and return it.

    The columns are the data set's: `continuous_observations` (T, n), …, `*_actions`, `rewards`
    (T,); besides `return`, `length`, `success` (None where the task does not say), with `render`
    the `frames` (T + 1 pictures), with `record_attention` the `attentions`: for each timestep
    (layers, N, tokens remembered), of the observation's token, and the `action_attentions`, T - 1
    of the action's, which the next timestep computes. With `record_predictions` the `probabilities`
    (T, actions) of discrete actions and `pred_observations` (T - 1, …): row t is what was expected
    to follow action t. `choice` goes to `agent.act` (greedy, temperature).
    """
    agent.reset(1, env.task)
    agent.record_attention = record_attention
    observation, info = env.reset(seed=seed)
    episode = {
        "observations": [],
        "actions": [],
        "rewards": [],
        "frames": [env.render()] if render else [],
    } | {name: [] for name in RECORDED}
    reward, done = 0.0, False
    while not done and (max_steps is None or len(episode["rewards"]) < max_steps):
        action = agent.act(observation, reward, seeds=None if seed is None else [seed], **choice)
        episode["observations"].append(observation)
        episode["actions"].append(action)
        _keep(episode, agent, record_attention, record_predictions)
        observation, reward, terminated, truncated, info = env.step(action)
        done = terminated or truncated
        episode["rewards"].append(float(reward))
        if render:
            episode["frames"].append(env.render())
    return _columns(episode, env.task, info)


RECORDED = ("attentions", "action_attentions", "probabilities", "pred_observations")


def _keep(episode: dict, agent, attention: bool, predictions: bool) -> None:
    """Of what the agent computed to act, what was asked for."""
    if (attention or predictions) and getattr(agent, "last", None) is None:
        raise ValueError(
            f"{type(agent).__name__} computes neither attention nor predictions: play with an agent that has a model"
        )
    first = len(episode["actions"]) == 1  # nothing came before: no action's view, no expectation
    if attention:
        episode["attentions"].append(in_order(agent.last))
        if not first:
            episode["action_attentions"].append(
                in_order(agent.last, agent.last.action_attentions)[..., :-1]
            )  # the observation was not there yet
    if predictions:
        episode["probabilities"] += (
            [] if agent.last.probabilities is None else [agent.last.probabilities[0]]
        )
        episode["pred_observations"] += (
            []
            if first or agent.last.pred_observations is None
            else [agent.last.pred_observations[0]]
        )


def in_order(last: LastStep, attentions: list[np.ndarray] | None = None) -> np.ndarray:
    """The last step's attention of environment 0 by token, oldest first: (layers, N, tokens); the
    observation's, unless others are given.
    """
    attentions = last.attentions if attentions is None else attentions
    index = last.key_index[0]
    order = np.argsort(index)[(index < 0).sum() :]
    return np.stack([weights[0][:, order] for weights in attentions])


def _columns(episode: dict, task: Task, info: dict) -> dict:
    name = f"{task.observation}_observation"
    columns = {f"{name}s": np.stack([o[name] for o in episode["observations"]])}
    if task.observation == "discrete":
        columns["text_observations"] = [o["text_observation"] for o in episode["observations"]]
    columns[f"{task.action}_actions"] = np.array(episode["actions"])
    columns["rewards"] = np.array(episode["rewards"], dtype=np.float32)
    success = info.get("success")
    summary = {
        "return": sum(episode["rewards"]),
        "length": len(episode["rewards"]),
        "success": None if success is None else bool(success),
    }
    recorded = {
        key: np.stack(episode[key])
        for key in ("probabilities", "pred_observations")
        if episode[key]
    }
    return (
        columns
        | summary
        | recorded
        | {
            key: episode[key]
            for key in ("frames", "attentions", "action_attentions")
            if episode[key]
        }
    )
