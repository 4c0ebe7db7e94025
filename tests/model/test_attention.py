"""Dual attention, its masks and its cache, against independent computations."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.model import JatModel, KeyValueCache
from jatlab.model.attention import attend, hide_past_actions, visible_keys
from jatlab.model.config import JatConfig
from jatlab.model.transformer import cache_masks, sequence_masks
from tests.support.helpers import small


@given(length=st.integers(1, 24), window=st.one_of(st.none(), st.integers(1, 30)))
def test_a_token_sees_itself_and_the_last_of_the_window(length, window):
    index = torch.arange(length)
    seen = visible_keys(index, index, window)
    for query in range(length):
        first = 0 if window is None else max(0, query - window + 1)
        assert seen[query].nonzero().flatten().tolist() == list(range(first, query + 1))


@given(length=st.integers(1, 12))
def test_hidden_actions_are_seen_by_actions_alone(length):
    index = torch.arange(2 * length)
    seen = hide_past_actions(visible_keys(index, index), index, index)
    assert not seen[::2, 1::2].any()
    assert torch.equal(seen[1::2], visible_keys(index, index)[1::2])
    assert torch.equal(seen[::2, ::2], visible_keys(index, index)[::2, ::2])


def transformers_twin(config: JatConfig, model: JatModel):
    """`transformers`' GPT-Neo with the same weights."""
    from transformers import GPTNeoConfig, GPTNeoModel

    from jatlab.model.checkpoint.names import official_name

    same = ("vocab_size", "max_position_embeddings", "hidden_size", "num_layers", "attention_types")
    same += ("num_heads", "window_size")
    sizes = {name: getattr(config, name) for name in same}
    twin = GPTNeoModel(GPTNeoConfig(**sizes, intermediate_size=config.mlp_size))
    twin.set_attn_implementation("eager")
    weights = {
        official_name(n).removeprefix("transformer."): w
        for n, w in model.state_dict().items()
        if official_name(n).startswith("transformer.")
    }
    missing, unexpected = twin.load_state_dict(weights, strict=False)
    assert not unexpected and all("bias" in name for name in missing)  # its buffers of causal masks
    return twin.eval()


def seeded_config(heads, size, pattern, window, seed):
    config = small(
        num_heads=heads,
        hidden_size=heads * size,
        num_layers=len(pattern),
        attention_types=[[pattern, 1]],
        window_size=window,
        discrete_bottleneck=1,
    )
    return config, seed


configurations = st.builds(
    seeded_config,
    heads=st.sampled_from([1, 2, 4]),
    size=st.sampled_from([8, 16]),
    pattern=st.lists(st.sampled_from(["global", "local"]), min_size=1, max_size=4),
    window=st.integers(1, 40),
    seed=st.integers(0, 2**20),
)


@pytest.mark.slow
@settings(max_examples=25)
@given(drawn=configurations, length=st.integers(1, 32), batch=st.integers(1, 3), data=st.data())
@torch.no_grad()
def test_the_trunk_equals_gpt_neo_of_transformers(drawn, length, batch, data):
    config, seed = drawn
    torch.manual_seed(seed)
    model = JatModel(config).eval()
    for weight in model.trunk.parameters():
        weight.copy_(
            torch.randn_like(weight) * 0.3
        )  # larger than at the start, so that masks matter
    embeddings = torch.randn(batch, length, config.hidden_size)
    valid = torch.tensor(
        data.draw(st.lists(st.integers(1, length), min_size=batch, max_size=batch))
    )
    padding = (torch.arange(length) < valid[:, None]).long()
    twin = transformers_twin(config, model)(
        inputs_embeds=embeddings, attention_mask=padding, output_attentions=True
    )
    hidden, attentions, _ = model.trunk(
        embeddings, sequence_masks(config, length, padding), record=True
    )
    real = padding.bool()
    torch.testing.assert_close(hidden[real], twin.last_hidden_state[real], atol=2e-4, rtol=1e-3)
    for ours, theirs in zip(attentions, twin.attentions, strict=True):
        torch.testing.assert_close(
            ours.transpose(1, 2)[real], theirs.transpose(1, 2)[real], atol=1e-4, rtol=1e-3
        )


@settings(max_examples=25)
@given(
    cuts=st.lists(st.integers(1, 6), min_size=1, max_size=6),
    window=st.integers(1, 12),
    seed=st.integers(0, 999),
)
@torch.no_grad()
def test_the_cache_fed_in_any_pieces_equals_one_pass(cuts, window, seed):
    torch.manual_seed(seed)
    config = small(window_size=window)
    trunk = JatModel(config).eval().trunk
    length = min(sum(cuts), config.max_position_embeddings)
    embeddings = torch.randn(2, length, config.hidden_size)
    whole, attentions, _ = trunk(embeddings, sequence_masks(config, length), record=True)
    cache, start = KeyValueCache(config, 2, config.max_position_embeddings), 0
    for cut in cuts:
        index = torch.arange(start, min(start + cut, length)).expand(2, -1)
        if not index.numel():
            break
        cache.reserve(index)
        piece, weights, _ = trunk(
            embeddings[:, start : start + cut],
            cache_masks(config, index, cache, hide_actions=False),
            index,
            cache,
            record=True,
        )
        torch.testing.assert_close(piece, whole[:, start : start + cut], atol=1e-5, rtol=1e-4)
        for ours, theirs in zip(weights, attentions, strict=True):
            torch.testing.assert_close(
                ours, theirs[:, :, index[0], : ours.shape[-1]], atol=1e-5, rtol=1e-4
            )
        start += cut


@torch.no_grad()
def test_recorded_weights_are_those_of_the_pass():
    """Rows sum to one, the future gets nothing, and the output with recording is that without."""
    torch.manual_seed(0)
    config = small()
    model = JatModel(config).eval()
    inputs = dict(
        continuous_observations=torch.randn(2, 8, 3),
        continuous_actions=torch.randn(2, 8, 2),
        rewards=torch.zeros(2, 8),
    )
    plain, recorded = model(**inputs), model(**inputs, output_attentions=True)
    torch.testing.assert_close(plain.pred_actions, recorded.pred_actions, atol=1e-6, rtol=1e-5)
    for weights in recorded.attentions:
        assert weights.shape == (2, 4, 16, 16)
        torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 16))
        assert weights.triu(1).abs().max() == 0


@torch.no_grad()
def test_attention_starts_out_spread():
    """Scores are not scaled: with queries and keys as large as the other weights, small models
    would start all but one-hot.
    """
    torch.manual_seed(0)
    model = JatModel(JatConfig.preset("nano")).eval()
    inputs = dict(
        continuous_observations=torch.randn(4, 32, 39),
        continuous_actions=torch.randn(4, 32, 4),
        rewards=torch.randn(4, 32),
    )
    for weights in model(**inputs, output_attentions=True).attentions:
        assert weights[:, :, 20:].amax(-1).mean() < 0.5


def test_attention_dropout_is_off_in_evaluation():
    torch.manual_seed(0)
    model = JatModel(small(attention_dropout=0.5))
    inputs = dict(input_ids=torch.arange(10)[None])
    model.eval()
    torch.testing.assert_close(model(**inputs).logits, model(**inputs).logits)
    model.train()
    assert not torch.allclose(model(**inputs).logits, model(**inputs).logits)


def test_more_tokens_than_positions_is_an_error():
    model = JatModel(small())
    with pytest.raises(
        ValueError, match="34 tokens is longer than the model's 32 positions.*at most 16 timesteps"
    ):
        model(
            continuous_observations=torch.zeros(1, 17, 2),
            continuous_actions=torch.zeros(1, 17, 1),
            rewards=torch.zeros(1, 17),
        )


def test_cudnns_attention_is_left_out():
    """Trainings on an H100 had NaN gradients with it, and none without it."""
    assert not torch.backends.cuda.cudnn_sdp_enabled()


@pytest.mark.parametrize("queries", [2, 8])
@pytest.mark.parametrize("autocast", [False, True])
@torch.no_grad()
def test_scores_are_not_rounded_to_bfloat16(queries, autocast):
    """Scores of 101 and 101.25 choose between two keys; in bfloat16 they would be equal."""
    query = torch.ones(1, 1, queries, 2, dtype=torch.bfloat16)
    key = torch.tensor([[[[101, 0], [101, 0.25]]]]).bfloat16()
    value = torch.tensor([[[[0.0], [1.0]]]]).bfloat16()
    mask = torch.ones(1, 1, queries, 2, dtype=torch.bool)
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        mixed, _ = attend(query, key, value, mask)
    expected = torch.sigmoid(torch.tensor(0.25)).expand(mixed.shape)
    torch.testing.assert_close(mixed.float(), expected, atol=4e-3, rtol=0)
