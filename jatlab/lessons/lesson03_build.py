"""Exercises 03.1 and 03.3: `embed` and `forward` of JAT, built from its parts.

Both are compared with a small `JatModel` on its own weights, for each of the five kinds of batch.
Letters: B batch, T timesteps, L tokens, H hidden size, P patches, S words.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from jatlab.lessons.answers import Answer, array, expect, near, parts
from jatlab.model.config import GRID_INTEGERS, JatConfig
from jatlab.model.jat import JatModel
from jatlab.model.transformer import sequence_masks

Batch = dict[str, Tensor]
TIMESTEPS = ("vectors", "grids", "frames")

# --- 03.1: embed


def embed_observations(model: Any, batch: Batch) -> Tensor:
    """One vector for each observation, (B, T, H); the reward joins vectors and grids."""
    if "continuous_observations" in batch:
        reward = batch["rewards"][..., None]  # (B, T, 1)
        return model.continuous_encoder(torch.cat([batch["continuous_observations"], reward], -1))
    if "discrete_observations" in batch:
        return model.discrete_encoder(batch["discrete_observations"], batch["rewards"])
    return model.image_encoder(batch["image_observations"])


def embed_actions(model: Any, batch: Batch) -> Tensor:
    """One vector for each action, (B, T, H): real numbers are encoded, buttons looked up."""
    if "continuous_actions" in batch:
        return model.continuous_encoder(batch["continuous_actions"])
    return model.text_embedding(batch["discrete_actions"])


def embed(model: Any, batch: Batch) -> Tensor:
    """A batch of any kind as one sequence of tokens, (B, L, H)."""
    if "input_ids" in batch:
        words = model.text_embedding(batch["input_ids"])  # (B, S, H)
        if "pixel_values" not in batch:
            return words
        return torch.cat([model.patch_encoder(batch["pixel_values"]), words], dim=1)
    both = [embed_observations(model, batch), embed_actions(model, batch)]  # (B, T, H) each
    return torch.stack(both, dim=2).flatten(1, 2)  # o0 a0 o1 a1 …


EMBED_STEPS = ("observations", "actions", "one sequence")


def check_embed(observe: Answer, act: Answer | None = None, sequence: Answer | None = None) -> None:
    """Check 03.1: the observations alone, or with the later steps."""
    model, batches = small_model()
    with torch.no_grad():
        for kind in TIMESTEPS:
            _check_observations(observe, model, batches[kind], kind)
        for kind in TIMESTEPS if act is not None else ():
            _check_actions(act, model, batches[kind], kind)
        for kind in batches if sequence is not None else ():
            _check_sequence(sequence, model, batches[kind], kind)


def _check_observations(answer: Answer | None, model: JatModel, batch: Batch, kind: str) -> None:
    got = _read(answer, model, batch, embed_observations(model, batch), f"step 1, {kind}")
    if kind == "vectors":
        seen, reward = batch["continuous_observations"], batch["rewards"][..., None]
        expect(
            not near(got, model.continuous_encoder(seen)),
            "step 1, vectors: the reward is missing: it joins the vector as its last number",
        )
        expect(
            not near(got, model.continuous_encoder(torch.cat([reward, seen], -1))),
            "step 1, vectors: the reward is the last number of the vector, not the first",
        )
    if kind == "grids":
        without = torch.zeros_like(batch["rewards"])
        expect(
            not near(got, model.discrete_encoder(batch["discrete_observations"], without)),
            "step 1, grids: the reward is missing: the grid's encoder takes it as its second "
            "argument",
        )
    _expect_same(got, embed_observations(model, batch), f"step 1, {kind}")


def _check_actions(answer: Answer | None, model: JatModel, batch: Batch, kind: str) -> None:
    got = _read(answer, model, batch, embed_actions(model, batch), f"step 2, {kind}")
    if "discrete_actions" in batch:
        as_number = model.continuous_encoder(batch["discrete_actions"][..., None].float())
        expect(
            not near(got, as_number),
            f"step 2, {kind}: a button is not an amount: look its number up in text_embedding",
        )
    _expect_same(got, embed_actions(model, batch), f"step 2, {kind}")


def _check_sequence(answer: Answer | None, model: JatModel, batch: Batch, kind: str) -> None:
    right = embed(model, batch)
    words = model.text_embedding(batch["input_ids"]) if kind == "pictures" else None
    if words is not None and callable(answer):
        raw = array(answer(*_given(batch, model)), "step 3, pictures: return a tensor")
        expect(raw.shape != tuple(words.shape), "step 3, pictures: the patches are missing")
    got = _read(answer, model, batch, right, f"step 3, {kind}")
    if words is not None:
        patches = model.patch_encoder(batch["pixel_values"])
        swapped = torch.cat([words, patches], 1)
        expect(not near(got, swapped), "step 3, pictures: the patches stand before the words")
    if kind in TIMESTEPS:
        pair = [embed_observations(model, batch), embed_actions(model, batch)]
        expect(
            not near(got, torch.cat(pair, 1)),
            f"step 3, {kind}: all observations, then all actions: they should alternate, "
            "o0 a0 o1 a1",
        )
        expect(
            not near(got, torch.stack(pair[::-1], 2).flatten(1, 2)),
            f"step 3, {kind}: an observation comes first and its action after it",
        )
    _expect_same(got, right, f"step 3, {kind}")


def _given(batch: Batch, model: JatModel) -> tuple[JatModel, Batch]:
    """What a reader's function is called with: the model, and a copy of the batch."""
    return model, {name: value.clone() for name, value in batch.items()}


def _read(
    answer: Answer | None, model: JatModel, batch: Batch, right: Tensor, where: str
) -> np.ndarray:
    expect(callable(answer), f"{where}: give the function itself")
    wanted = f"{where}: return a tensor of shape {tuple(right.shape)}"
    got = array(answer(*_given(batch, model)) if answer else None, wanted)
    expect(got.shape == tuple(right.shape), f"{wanted}; yours has {got.shape}")
    return got


def _expect_same(got: np.ndarray, right: Tensor, where: str) -> None:
    expect(near(got, right), f"{where}: the shape is right, the numbers are not JatModel's")


# --- 03.3: forward


def hidden_states(model: Any, tokens: Tensor, batch: Batch) -> Tensor:
    """The trunk's states (B, L, H) of a batch's tokens, under the masks of its kind."""
    acting = "input_ids" not in batch and model.config.hide_past_actions
    hidden = torch.ones(len(tokens), dtype=torch.bool) if acting else None  # (B,)
    masks = sequence_masks(model.config, tokens.shape[1], hidden_actions=hidden)
    return model.trunk(tokens, masks)[0]


def forward(model: Any, batch: Batch) -> Any:
    """The logits of text, (B, L, V); of timesteps, the actions and the next observations."""
    hidden = hidden_states(model, embed(model, batch), batch)
    if "input_ids" in batch:
        return model.token_decoder(hidden)
    on_observations, on_actions = hidden[:, ::2], hidden[:, 1::2]  # (B, T, H) each
    if "continuous_actions" in batch:
        actions = model.continuous_decoder(on_observations)
    else:
        actions = model.token_decoder(on_observations)
    if "continuous_observations" in batch:
        return actions, model.continuous_decoder(on_actions)
    if "discrete_observations" in batch:
        return actions, model.discrete_decoder(on_actions)
    return actions, model.image_decoder(on_actions)


FORWARD_STEPS = ("hidden states", "predictions")


def check_forward(states: Answer, whole: Answer | None = None) -> None:
    """Check 03.3: the hidden states alone, or with the predictions."""
    model, batches = small_model()
    with torch.no_grad():
        for kind, batch in batches.items():
            _check_states(states, model, batch, kind)
        for kind, batch in batches.items() if whole is not None else ():
            _check_predictions(whole, model, batch, kind)


def _check_states(answer: Answer, model: JatModel, batch: Batch, kind: str) -> None:
    tokens = embed(model, batch)
    right = model(**batch).last_hidden_state
    wanted = f"step 1, {kind}: return a tensor of shape {tuple(right.shape)}"
    got = array(answer(model, tokens.clone(), _given(batch, model)[1]), wanted)
    expect(got.shape == tuple(right.shape), f"{wanted}; yours has {got.shape}")
    length, every = tokens.shape[1], torch.ones(len(tokens), dtype=torch.bool)
    shown = model.trunk(tokens, sequence_masks(model.config, length))[0]
    unseen = model.trunk(tokens, sequence_masks(model.config, length, hidden_actions=every))[0]
    if kind in TIMESTEPS:
        expect(
            not near(got, shown),
            f"step 1, {kind}: this model's observations do not see past actions: "
            "sequence_masks(…, hidden_actions=…), (B,) booleans",
        )
    else:
        expect(
            not near(got, unseen),
            f"step 1, {kind}: text has no actions to hide: every token sees all before it",
        )
    expect(near(got, right), f"step 1, {kind}: other hidden states than JatModel's")


def _check_predictions(answer: Answer | None, model: JatModel, batch: Batch, kind: str) -> None:
    expect(callable(answer), "step 2: give the function itself")
    output = model(**batch)
    raw = answer(*_given(batch, model)) if answer else None
    if kind not in TIMESTEPS:
        right = np.asarray(output.logits)
        got = array(raw, f"step 2, {kind}: return logits of shape {right.shape}")
        expect(
            got.shape == right.shape,
            f"step 2, {kind}: logits of shape {right.shape}, not {got.shape}: "
            "a score of every word at every token",
        )
        tied = output.last_hidden_state @ model.text_embedding.weight.T
        expect(
            not near(got, tied),
            f"step 2, {kind}: the words leave through token_decoder; text_embedding is another "
            "matrix",
        )
        expect(near(got, right), f"step 2, {kind}: other logits than JatModel's")
        return
    wanted = f"step 2, {kind}: return two tensors: for the actions, for the next observations"
    found = parts(raw, 2, wanted)
    for name, one, target in zip(
        ("actions", "next observations"),
        found,
        (output.pred_actions, output.pred_observations),
        strict=True,
    ):
        _expect_prediction(one, np.asarray(target), model, batch, f"step 2, {kind}, {name}")


def _expect_prediction(
    got: np.ndarray, right: np.ndarray, model: JatModel, batch: Batch, where: str
) -> None:
    """Compare, of vectors only the first copy of their numbers."""
    expect(got.ndim == right.ndim, f"{where}: {right.ndim} axes are expected, yours has {got.ndim}")
    got = got[..., : right.shape[-1]]
    expect(got.shape == right.shape, f"{where}: shape {right.shape} is expected, not {got.shape}")
    if not near(got, right):
        states = model(**batch).last_hidden_state
        for name in ("continuous_decoder", "token_decoder"):
            other = states[:, 1::2] if where.endswith(" actions") else states[:, ::2]
            swapped = np.asarray(getattr(model, name)(other))[..., : right.shape[-1]]
            expect(
                swapped.shape != got.shape or not near(got, swapped),
                f"{where}: predicted from the wrong token. Actions come from the state on the "
                "observation, next observations from the state on the action",
            )
    expect(near(got, right), f"{where}: other numbers than JatModel's")


# --- the model and the batches


@lru_cache(maxsize=1)
def small_model() -> tuple[JatModel, dict[str, Batch]]:
    """A small model whose every part counts, and a batch of each kind."""
    config = JatConfig(
        hidden_size=8,
        num_heads=2,
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        window_size=3,
        max_position_embeddings=24,
        vocab_size=12,
        max_discrete_value=GRID_INTEGERS + 4,
        max_continuous_size=8,
        discrete_bottleneck=2,
        image_size=8,
        patch_size=4,
        image_channels=(16, 16, 16),
        image_pool=1,
        hide_past_actions=True,
        predict_discrete_observations=True,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        model = JatModel(config).eval().requires_grad_(False)
        for part in (model.trunk, model.text_embedding, model.token_decoder):
            for weight in part.parameters():
                nn.init.normal_(weight, std=0.4)
        return model, _batches()


def _batches() -> dict[str, Batch]:
    rewards, buttons = torch.randn(1, 3), torch.tensor([[2, 0, 1]])
    words = torch.tensor([[3, 7, 1, 4]])
    return {
        "vectors": {
            "continuous_observations": torch.randn(1, 3, 4),
            "continuous_actions": torch.randn(1, 3, 2),
            "rewards": rewards,
        },
        "grids": {
            "discrete_observations": torch.randint(0, 6, (1, 3, GRID_INTEGERS + 4)),
            "discrete_actions": buttons,
            "rewards": rewards,
        },
        "frames": {
            "image_observations": torch.rand(1, 3, 4, 84, 84) * 2 - 1,
            "discrete_actions": buttons,
        },
        "words": {"input_ids": words},
        "pictures": {"pixel_values": torch.rand(1, 3, 8, 8) * 2 - 1, "input_ids": words},
    }
