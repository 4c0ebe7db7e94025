"""Acting step by step against plain recomputation, with episodes that start over inside a batch."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.model import JatModel
from jatlab.model.memory import Memory
from jatlab.model.transformer import sequence_masks
from tests.support.helpers import small


def plain(model, observations, actions, start):
    """The hidden state of the last observation, from one pass over the timesteps since `start`; the
    last action is not known yet.
    """
    tokens = model.interleave(observations[start:][None], actions[start:][None])[:, :-1]
    hidden = torch.ones(1, dtype=torch.bool) if model.config.hide_past_actions else None
    masks = sequence_masks(model.config, tokens.shape[1], hidden_actions=hidden)
    return model.trunk(tokens, masks)[0][0, -1]


def window_start(t: int, context: int) -> int:
    """First timestep that `recompute` still sees at timestep t: each time the context is full, its
    earlier half goes.
    """
    start = 0
    while t - start >= context:
        start += context // 2
    return start


@pytest.mark.slow
@settings(max_examples=25)
@given(
    context=st.integers(2, 16),
    steps=st.integers(1, 40),
    hidden=st.booleans(),
    seed=st.integers(0, 999),
    restarts=st.lists(st.tuples(st.integers(1, 39), st.integers(0, 2)), max_size=4),
)
@torch.no_grad()
def test_recompute_equals_a_pass_over_its_window(context, steps, hidden, seed, restarts):
    torch.manual_seed(seed)
    model = JatModel(small(hide_past_actions=hidden)).eval()
    observations, actions = torch.randn(2, 3, steps, model.config.hidden_size)
    memory, began = Memory(model, 3, "recompute", context), [0, 0, 0]
    for t in range(steps):
        starts = torch.tensor([t == 0 or (t, row) in restarts for row in range(3)])
        began = [t if starts[row] else began[row] for row in range(3)]
        recall = memory.step(observations[:, t], actions[:, t - 1], starts)
        for row in range(3):
            seen = slice(began[row], t + 1)
            expected = plain(
                model,
                observations[row, seen],
                actions[row, seen],
                window_start(t - began[row], context),
            )
            torch.testing.assert_close(recall.observation[row], expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def plain_published(model, observations, actions, context):
    """The authors' policy with nothing clever: a growing list of keys and values, cut from the
    front.
    """
    config, hidden, kept = model.config, [], [([], []) for _ in model.trunk.blocks]
    for t in range(len(observations)):
        fed = (
            [observations[0]] if t == 0 else [observations[t - 1], actions[t - 1], observations[t]]
        )
        for keys, values in kept:
            del keys[: max(0, len(keys) - 2 * context)], values[: max(0, len(values) - 2 * context)]
        past = len(kept[0][0])
        x = torch.stack(fed) + model.trunk.positions.weight[past : past + len(fed)]
        for block, (keys, values) in zip(model.trunk.blocks, kept, strict=True):
            attention, normed = block.attention, block.attention_norm(x)
            keys.extend(attention.key(normed))
            values.extend(attention.value(normed))
            for i in range(len(fed)):
                first = (
                    0 if attention.kind == "global" else max(0, past + i + 1 - config.window_size)
                )
                key, value = (
                    torch.stack(held[first : past + i + 1]).unflatten(-1, (config.num_heads, -1))
                    for held in (keys, values)
                )
                query = attention.query(normed[i]).unflatten(-1, (config.num_heads, -1))
                weights = torch.einsum("nd,snd->ns", query, key).softmax(-1)
                x[i] += attention.output(torch.einsum("ns,snd->nd", weights, value).flatten())
            x = x + block.mlp(block.mlp_norm(x))
        for keys, values in kept:
            del keys[-1:], values[-1:]  # the newest observation is fed again with the next
        hidden.append(model.trunk.norm(x)[-1])
    return torch.stack(hidden)


@settings(max_examples=10)
@given(context=st.integers(2, 8), steps=st.integers(1, 30), seed=st.integers(0, 999))
@torch.no_grad()
def test_published_equals_its_plain_form(context, steps, seed):
    torch.manual_seed(seed)
    model = JatModel(small()).eval()
    observations, actions = torch.randn(2, 2, steps, model.config.hidden_size)
    memory = Memory(model, 2, "published", context)
    ours = torch.stack(
        [
            memory.step(observations[:, t], actions[:, t - 1], torch.full((2,), t == 0)).observation
            for t in range(steps)
        ],
        dim=1,
    )
    for row in range(2):
        torch.testing.assert_close(
            ours[row],
            plain_published(model, observations[row], actions[row], context),
            atol=1e-5,
            rtol=1e-4,
        )


@torch.no_grad()
def test_both_policies_agree_until_the_first_cut():
    torch.manual_seed(3)
    model = JatModel(small()).eval()
    observations, actions = torch.randn(2, 1, 20, model.config.hidden_size)
    memories = [Memory(model, 1, policy, 8) for policy in ("recompute", "published")]
    pairs = [
        [
            m.step(observations[:, t], actions[:, t - 1], torch.tensor([t == 0])).observation
            for m in memories
        ]
        for t in range(20)
    ]
    differences = [float((a - b).abs().max()) for a, b in pairs]
    assert max(differences[:8]) < 1e-5
    assert max(differences[8:]) > 1e-3  # from there on they are two policies


@torch.no_grad()
def test_attention_of_a_step_is_the_row_of_a_whole_pass():
    torch.manual_seed(4)
    model = JatModel(small()).eval()
    observations, actions = torch.randn(2, 1, 6, model.config.hidden_size)
    memory = Memory(model, 1)
    for t in range(6):
        recall = memory.step(
            observations[:, t], actions[:, t - 1], torch.tensor([t == 0]), record=True
        )
    tokens = model.interleave(observations, actions)[:, :-1]
    _, attentions, _ = model.trunk(tokens, sequence_masks(model.config, 11), record=True)
    for ours, theirs in zip(recall.attentions, attentions, strict=True):
        torch.testing.assert_close(
            ours[0][:, recall.key_index[0]], theirs[0, :, -1], atol=1e-6, rtol=1e-4
        )


@pytest.mark.parametrize(
    "policy, context, message",
    [
        ("lru", None, "unknown cache policy 'lru'"),
        ("recompute", 1, "from 2 to 16"),
        ("published", 17, "from 2 to 16"),
    ],
)
def test_wrong_arguments(policy, context, message):
    with pytest.raises(ValueError, match=message):
        Memory(JatModel(small()), 1, policy, context)
