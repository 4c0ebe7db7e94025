"""An agent that reads a token for each number, as Gato does, on JAT's own trunk: what `jatlab
ablate tokens` compares JAT with.

The tokens are those of `jatlab.experiments.baselines.gato_tokens`. A timestep is its observation, a
separator and its action; every number of the action is written one after another, each knowing
those before it, and is learnt by cross-entropy over 1,024 bins (Reed et al. 2022, section 2). As in
the recipe it is compared with, a timestep does not see the actions of earlier ones. A mission is as
many tokens as the task's longest one.

Letters: B batch, T timesteps, K tokens of a timestep, of which P come before the action and A are
the action; L = T K, H hidden size.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.data.mixture import Mixture, prefetch
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import Batch, WindowSource, open_source
from jatlab.experiments.baselines import gato_tokens as gato
from jatlab.model.attention import KeyValueCache, visible_keys
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.model.transformer import Transformer
from jatlab.tasks import Task, get_task
from jatlab.training.recipe import TrainConfig, learning_rate, make_optimizer, uses_bf16
from jatlab.training.state import EmaWeights


class Layout:
    """Where a task's numbers lie among the K tokens of a timestep, and which ids they have.

    ``words``: tokens of a mission. Ids are Gato's, moved together: integers and words from 0, then
    the bins of real numbers, then the separator. Raises ValueError for a task of frames or
    pictures, which have no scalars.
    """

    def __init__(self, task: Task, tokenizer: TextTokenizer, words: int = 0):
        if task.observation not in ("continuous", "discrete"):
            raise ValueError(
                f"{task.name} has observations of kind {task.observation}: a token for each number needs vectors or grids"
            )
        self.task, self.words = task, words
        self.first_bin = max(tokenizer.vocab_size, gato.BINS)
        self.vocab_size = self.first_bin + gato.BINS + 1
        self.actions = task.action_size if task.action == "continuous" else 1  # A
        self.choices = gato.BINS if task.action == "continuous" else task.action_size
        self.total = gato.timestep_tokens(task, words)  # K
        self.before = self.total - self.actions  # P

    def observation_ids(self, values: np.ndarray) -> np.ndarray:
        """Observations (…, n) as the model sees them -> ids (…, P), the separator included. Padding
        beyond the mission's words is cut off.
        """
        values = np.asarray(values)[..., : self.before - 1]
        ids = (
            self._close(gato.encode_observation(values))
            if self.task.observation == "continuous"
            else values.astype(np.int64)
        )
        separator = np.full((*ids.shape[:-1], 1), self.vocab_size - 1)
        return np.concatenate([ids, separator], axis=-1)

    def action_ids(self, actions: np.ndarray) -> np.ndarray:
        """Actions (…, A), or (…,) where they are discrete -> ids (…, A)."""
        return (
            self._close(gato.encode_action(actions))
            if self.task.action == "continuous"
            else np.asarray(actions, np.int64)[..., None]
        )

    def answers(self, ids: np.ndarray) -> np.ndarray:
        """What an action's ids (…, A) are among the `choices` of each."""
        return ids - (self.first_bin if self.task.action == "continuous" else 0)

    def from_choices(self, choices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Chosen bins or actions (…, A) -> their ids (…, A), and the actions for the environment:
        float32 (…, A), or int64 (…,).
        """
        if self.task.action == "continuous":
            return choices + self.first_bin, gato.from_bins(choices).astype(np.float32)
        return choices, choices[..., 0]

    def _close(self, ids: np.ndarray) -> np.ndarray:
        return ids - gato.TEXT_IDS + self.first_bin


class ScalarModel(nn.Module):
    """Token embeddings with their place in the timestep, JAT's trunk with global layers alone, and
    a head over the choices of an action's number.
    """

    def __init__(self, config: JatConfig, layout: Layout):
        super().__init__()
        self.config, self.layout = config, layout
        self.context = config.max_position_embeddings // layout.total  # timesteps
        if self.context < 2:
            raise ValueError(
                f"{config.max_position_embeddings} positions hold {self.context} timesteps of {layout.total} tokens; at least 2 are needed"
            )
        self.embedding = nn.Embedding(layout.vocab_size, config.hidden_size)
        self.places = nn.Embedding(layout.total, config.hidden_size)
        self.trunk = Transformer(config)
        self.head = nn.Linear(config.hidden_size, layout.choices)
        for table in (self.embedding, self.places, self.trunk.positions):
            nn.init.normal_(table.weight, std=0.02)

    def embed(self, ids: Tensor, places: Tensor) -> Tensor:
        return self.embedding(ids) + self.places(places)

    def forward(self, ids: Tensor, valid: Tensor) -> Tensor:
        """The mean cross-entropy of the actions' numbers: ids (B, T, K), valid (B, T)."""
        steps = ids.shape[1]
        places = torch.arange(self.layout.total, device=ids.device)
        x = self.embed(ids, places).flatten(1, 2)  # (B, T, K, H) -> (B, L, H)
        hidden = self.trunk(x, self._masks(steps, ids.device))[0].unflatten(
            1, (steps, -1)
        )  # (B, T, K, H)
        logits = self.head(
            hidden[:, :, self.layout.before - 1 : -1]
        )  # (B, T, A, choices): each from the token before
        targets = self.layout.answers(ids[:, :, self.layout.before :])
        return F.cross_entropy(logits[valid].flatten(0, 1).float(), targets[valid].flatten())

    def _masks(self, steps: int, device) -> dict[str, Tensor]:
        """Nobody sees the future, nor an action of another timestep: (1, 1, L, L)."""
        index = torch.arange(steps * self.layout.total, device=device)
        time, is_action = (
            index // self.layout.total,
            index % self.layout.total >= self.layout.before,
        )
        mask = visible_keys(index, index) & ((time[:, None] == time) | ~is_action)
        return {"global": mask[None, None]}


class ScalarAgent:
    """A `ScalarModel` that acts, with the calls of `jatlab.Agent`: one pass for the observation,
    and one for each further number of the action.
    """

    def __init__(self, model: ScalarModel, tokenizer: TextTokenizer, info: dict | None = None):
        self.model, self.tokenizer, self.info = model.eval(), tokenizer, info or {}

    def reset(self, n: int = 1, task: str | Task | None = None) -> None:
        """Forget, and get ready for `n` environments in lockstep. Raises ValueError for another
        task than the one it was trained on.
        """
        own, layout = self.model.layout.task, self.model.layout
        if get_task(task) != own if isinstance(task, str) else task != own:
            raise ValueError(f"this agent was trained on {own.name} and cannot play {task}")
        self.cache = KeyValueCache(self.model.config, n, self.model.context * layout.total)
        self.seen = torch.zeros(
            n, self.model.context, layout.before, dtype=torch.long
        )  # to encode the window anew from
        self.time = torch.zeros(n, dtype=torch.long)
        self.generators = [np.random.default_rng(row) for row in range(n)]
        self.started = False

    @torch.inference_mode()
    def act(
        self,
        observations,
        rewards=0.0,
        starts=None,
        greedy: bool = False,
        temperature: float | None = None,
        seeds=None,
    ) -> list:
        """The next action of each environment; arguments as in `jatlab.Agent.act`. Each number is
        drawn from its distribution, as Gato does, unless `greedy`.
        """
        if isinstance(observations, dict):
            return self.act(
                [observations],
                None,
                None if starts is None else [starts],
                greedy,
                temperature,
                seeds,
            )[0]
        self._begin(
            np.full(len(observations), not self.started)
            if starts is None
            else np.asarray(starts, bool),
            seeds,
        )
        hidden = self._see(self._ids(observations))
        chosen = []
        for number in range(self.model.layout.actions):
            chosen.append(self._choose(self.model.head(hidden), greedy, temperature or 1.0))
            if number + 1 < self.model.layout.actions:
                ids, _ = self.model.layout.from_choices(chosen[-1])
                hidden = self._feed(
                    torch.from_numpy(ids)[:, None], self.model.layout.before + number
                )
        self._forget_action()
        self.time, self.started = self.time + 1, True
        return list(self.model.layout.from_choices(np.stack(chosen, axis=-1))[1])

    def _begin(self, starts: np.ndarray, seeds) -> None:
        for row in np.flatnonzero(starts):
            self.cache.forget(torch.tensor([row]))
            self.time[row] = 0
            if seeds is not None and seeds[row] is not None:
                self.generators[row] = np.random.default_rng(seeds[row])

    def _ids(self, observations) -> Tensor:
        """(n, P)."""
        task = self.model.layout.task
        values = np.stack(
            [
                np.asarray(observation[f"{task.observation}_observation"])
                for observation in observations
            ]
        )
        if task.observation == "discrete":
            missions = self.tokenizer.encode_batch(
                [observation["text_observation"] for observation in observations],
                self.model.layout.words,
            )
            values = np.concatenate([values, missions], axis=1)
        return torch.from_numpy(self.model.layout.observation_ids(values))

    def _see(self, ids: Tensor) -> Tensor:
        full = (self.time == self.model.context).nonzero().squeeze(-1)
        if len(full):
            self._move_window(full)
        self.seen[torch.arange(len(ids)), self.time] = ids
        return self._feed(ids, 0)

    def _move_window(self, rows: Tensor) -> None:
        """Keep the later half of these rows' timesteps, and encode them anew from position 0."""
        kept = self.model.context // 2
        self.seen[rows, :kept] = self.seen[rows, -kept:]
        self.time[rows] = kept
        self.cache.forget(rows)
        places = torch.arange(self.model.layout.before)
        index = (
            (torch.arange(kept)[:, None] * self.model.layout.total + places)
            .flatten()
            .expand(len(rows), -1)
        )  # (rows, kept P)
        self._pass(self.seen[rows, :kept].flatten(1), index, rows)

    def _feed(self, ids: Tensor, place: int) -> Tensor:
        """Tokens (n, l) of now, the first at this place of the timestep -> the last one's hidden
        state (n, H).
        """
        index = self.time[:, None] * self.model.layout.total + place + torch.arange(ids.shape[1])
        return self._pass(ids, index)[:, -1]

    def _pass(self, ids: Tensor, index: Tensor, rows: Tensor | None = None) -> Tensor:
        self.cache.reserve(index, rows)
        masks = {"global": visible_keys(index, self.cache.key_index())[:, None]}
        return self.model.trunk(
            self.model.embed(ids, index % self.model.layout.total), masks, index, self.cache
        )[0]

    def _forget_action(self) -> None:
        """Later timesteps do not see it."""
        held = self.cache.index
        held[held % self.model.layout.total >= self.model.layout.before] = -1

    def _choose(self, logits: Tensor, greedy: bool, temperature: float) -> np.ndarray:
        shares = (logits / temperature).softmax(-1).double().numpy()
        if greedy:
            return shares.argmax(-1)
        draws = np.array([generator.random() for generator in self.generators])[:, None]
        return (
            (shares.cumsum(-1) < draws * shares.sum(-1, keepdims=True))
            .sum(-1)
            .clip(max=shares.shape[-1] - 1)
        )


# --- training
# ----------------------------------------------------------------------------------------------------------------


def train_scalar(recipe: TrainConfig) -> ScalarAgent:
    """Train on the one task of the recipe, for its steps, as `jatlab.training.trainer` would: same
    windows, optimizer, schedule, averaging and symmetries.

    ``agent.info``: {"step", "timesteps", "parameters", "context"}.
    """
    [name] = recipe.tasks
    torch.manual_seed(recipe.seed)
    tokenizer = TextTokenizer.load()
    config = JatConfig.preset(recipe.preset, **recipe.model)
    layout = Layout(get_task(name), tokenizer, longest_mission(name, recipe.data, tokenizer))
    model = ScalarModel(config, layout)
    source = open_source(name, recipe.data, config, tokenizer, model.context)
    mixture = Mixture(
        [source],
        recipe.batch_timesteps,
        {},
        recipe.seed,
        GridSymmetries(tokenizer) if recipe.symmetries else None,
    )
    timesteps = _fit(model, recipe, islice(prefetch(mixture, 1), recipe.steps))
    info = {
        "step": recipe.steps,
        "timesteps": timesteps,
        "parameters": sum(p.numel() for p in model.parameters()),
        "context": model.context,
    }
    return ScalarAgent(model, tokenizer, info)


def longest_mission(name: str, data: str, tokenizer: TextTokenizer) -> int:
    """Tokens of the longest mission among a task's demonstrations; 0 where it has none."""
    source: WindowSource = open_source(name, data, JatConfig.preset("nano"), tokenizer)
    return 0 if source.text_ids is None else int((source.text_ids != tokenizer.pad_id).sum(1).max())


def _fit(model: ScalarModel, recipe: TrainConfig, batches: Iterable) -> int:
    """The training loop; returns the timesteps seen. The model ends with its averaged weights."""
    optimizer, average, timesteps = (
        make_optimizer(model, recipe),
        EmaWeights(model, recipe.average),
        0,
    )
    for step, ([plan], [batch]) in enumerate(batches, start=1):
        model.train()
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(recipe, (step - 1) / recipe.steps)
        batch_loss(model, batch, uses_bf16(recipe, torch.device("cpu"))).mul(plan.share).backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        optimizer.zero_grad()
        average.update(model, step)
        timesteps += plan.timesteps
    model.load_state_dict(average.values)
    return timesteps


def batch_loss(model: ScalarModel, batch: Batch, bf16: bool) -> Tensor:
    """The loss of one batch of windows, as `WindowSource` gives it."""
    task, layout = model.layout.task, model.layout
    actions = batch[f"{task.action}_actions"]
    ids = np.concatenate(
        [
            layout.observation_ids(batch[f"{task.observation}_observations"]),
            layout.action_ids(actions),
        ],
        axis=-1,
    )  # (B, T, K)
    valid = torch.from_numpy(batch["attention_mask"].astype(bool))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        return model(torch.from_numpy(ids), valid)
