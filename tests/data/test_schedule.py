"""Windows are put into batches: each once, and with little padding."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jatlab.data.schedule import cut_batches

lengths = st.lists(st.integers(1, 64), min_size=1, max_size=40)


@given(lengths, st.integers(1, 500), st.integers(0, 3))
def test_batches_have_each_window_once_and_are_not_too_large(lengths, batch_timesteps, seed):
    lengths = np.array(lengths)
    batches = cut_batches(lengths, batch_timesteps, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(len(b) == 1 or lengths[b].max() * len(b) <= batch_timesteps for b in batches)
    assert all(lengths[b].sum() >= 0.7 * lengths[b].max() * len(b) for b in batches)


@pytest.mark.parametrize("batch_timesteps", [512, 1024, 2048])
def test_short_episodes_of_many_lengths_train_on_little_padding(batch_timesteps):
    # like BabyAI's simple levels
    lengths = np.clip(np.random.default_rng(0).geometric(1 / 9, 4000), 1, 64)
    batches = cut_batches(lengths, batch_timesteps, np.random.default_rng(1))
    padded = sum(lengths[b].max() * len(b) for b in batches)
    one_by_one = np.random.default_rng(1).permutation(lengths).reshape(-1, 40)
    assert 1 - lengths.sum() / padded < 0.10 < 1 - lengths.sum() / (one_by_one.max(1) * 40).sum()


def test_a_window_without_timesteps_is_refused():
    with pytest.raises(ValueError, match="a window of 0 timesteps"):
        cut_batches(np.array([3, 0]), 8, np.random.default_rng(0))
