"""Local attention in blocks gives the numbers of the whole mask."""

import pytest
import torch

from jatlab.model import JatModel
from jatlab.model.attention import block_size, blocks_of_places, in_blocks, with_previous
from jatlab.model.transformer import Transformer, sequence_masks
from tests.support.helpers import small

WINDOW = 6


def both(length, every, padding, hidden):
    """Hidden states and the embeddings' gradients, under the whole mask and in blocks."""
    torch.manual_seed(0)
    config = small(window_size=WINDOW, max_position_embeddings=128)
    trunk = Transformer(config)
    places = torch.arange(0, length, every)
    start = torch.randn(2, len(places), config.hidden_size)
    found = []
    for blocks in (False, True):
        x = start.clone().requires_grad_()
        masks = sequence_masks(config, length, padding, hidden, every=every, in_blocks=blocks)
        assert masks["local"].ndim == (5 if blocks else 4)
        y = trunk(x, masks, places)[0]
        real = torch.ones_like(y) if padding is None else padding[:, ::every, None] * y.new_ones(1)
        (y * real).square().sum().backward()
        found.append((y * real, x.grad * real))
    return found


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("length", [24, 50, 127])
@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("hides", [False, True])
def test_the_same_numbers_and_gradients(length, every, padded, hides):
    padding = torch.ones(2, length, dtype=torch.long)
    padding[0, length // 2 :] = 0
    padding[1, :4] = 0  # before what is there
    hidden = torch.tensor([True, False]) if hides else None
    whole, blocks = both(length, every, padding if padded else None, hidden)
    for one, other in zip(whole, blocks, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_what_the_blocks_hold():
    queries, keys = blocks_of_places(torch.arange(5)[None], torch.arange(5)[None], 2)
    assert queries[0].tolist() == [[0, 1], [2, 3], [4, -1]]
    assert keys[0].tolist() == [[-1, -1, 0, 1], [0, 1, 2, 3], [2, 3, 4, -1]]
    x = torch.arange(6.0).view(1, 3, 2)
    assert with_previous(in_blocks(x, 2, 1), 1).shape == (1, 2, 4, 2)


def test_short_sequences_keep_the_whole_mask():
    assert block_size(64, 1, 255) is None and block_size(64, 1, 256) == 64
    assert block_size(5, 2, 100) == 3  # five places hold three of every second token
    config = small()
    assert sequence_masks(config, 8, in_blocks=True)["local"].ndim == 4


def test_recorded_attention_is_that_of_the_whole_mask():
    """Who asks for weights gets (B, N, L, L), and the same loss."""
    torch.manual_seed(0)
    model = JatModel(small(window_size=WINDOW, max_position_embeddings=64))
    batch = {
        "continuous_observations": torch.randn(2, 32, 3),
        "continuous_actions": torch.randn(2, 32, 2),
        "rewards": torch.randn(2, 32),
    }
    fast, recorded = model(**batch), model(**batch, output_attentions=True)
    torch.testing.assert_close(fast.loss, recorded.loss, atol=1e-5, rtol=1e-5)
    assert {weights.shape[-2:] for weights in recorded.attentions} == {(64, 64)}
