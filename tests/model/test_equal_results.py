"""Equal results however the same episodes are put together: property tests with generated shapes.

Within 1e-5 in float32. In bfloat16 within 5 % of the spread of the predictions.
"""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import jatlab
from jatlab.model import JatModel
from tests.support.fuzzing import fuzz
from tests.support.helpers import small

CLOSE = {"rtol": 1e-5, "atol": 1e-5}
KINDS = ("vector", "grid", "text")


@cache
def model() -> JatModel:
    torch.manual_seed(0)
    return JatModel(small(vocab_size=40, initializer_range=0.1)).eval()


def episode(kind: str, length: int, numbers: np.random.Generator) -> dict[str, torch.Tensor]:
    """One episode, or text, as a batch of one; its sizes are those of the other episodes."""
    if kind == "text":
        return {"input_ids": torch.from_numpy(numbers.integers(0, 40, (1, length)))}
    rewards = torch.from_numpy(numbers.normal(size=(1, length))).float()
    actions = torch.from_numpy(numbers.integers(0, 7, (1, length)))
    if kind == "vector":
        seen = torch.from_numpy(numbers.normal(size=(1, length, 5))).float()
        return {"continuous_observations": seen, "discrete_actions": actions, "rewards": rewards}
    seen = torch.from_numpy(numbers.integers(0, 8, (1, length, 6)))
    return {"discrete_observations": seen, "discrete_actions": actions, "rewards": rewards}


def padded(episodes: list[dict], length: int, fill: int) -> dict[str, torch.Tensor]:
    """The episodes as one batch of ``length`` timesteps, filled up with any valid value."""
    batch = {}
    for name in episodes[0]:
        rows = []
        for one in episodes:
            missing = length - one[name].shape[1]
            more = torch.full((1, missing, *one[name].shape[2:]), fill, dtype=one[name].dtype)
            rows.append(torch.cat([one[name], more], dim=1))
        batch[name] = torch.cat(rows)
    lengths = torch.tensor([next(iter(one.values())).shape[1] for one in episodes])
    return batch | {"attention_mask": (torch.arange(length) < lengths[:, None]).long()}


@torch.no_grad()
def predicted(network: JatModel, kind: str, inputs: dict) -> torch.Tensor:
    """Logits of what comes next, (B, T, …)."""
    found = network(**inputs, return_loss=False)
    return (found.logits if kind == "text" else found.pred_actions).float()


@fuzz(30)
@given(
    kind=st.sampled_from(KINDS),
    lengths=st.lists(st.integers(1, 16), min_size=1, max_size=5),
    more=st.integers(0, 4),
    fill=st.integers(0, 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_company_and_padding_change_nothing(kind, lengths, more, fill, seed):
    numbers = np.random.default_rng(seed)
    episodes = [episode(kind, length, numbers) for length in lengths]
    longest = min(max(lengths) + more, 16)
    together = predicted(model(), kind, padded(episodes, longest, fill))
    for row, one, length in zip(together, episodes, lengths, strict=True):
        alone = predicted(model(), kind, one)[0]
        torch.testing.assert_close(row[:length], alone[:length], **CLOSE)


@fuzz(30)
@given(
    kind=st.sampled_from(KINDS),
    length=st.integers(2, 16),
    cut=st.integers(1, 15),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_comes_later_changes_nothing_before(kind, length, cut, seed):
    """So an episode may be cut at any place, until the context is full."""
    whole = episode(kind, length, np.random.default_rng(seed))
    first = {name: x[:, : min(cut, length)] for name, x in whole.items()}
    before = predicted(model(), kind, first)[0]
    torch.testing.assert_close(predicted(model(), kind, whole)[0][: len(before)], before, **CLOSE)


@fuzz(15)
@given(kind=st.sampled_from(KINDS), length=st.integers(2, 16), seed=st.integers(0, 2**32 - 1))
def test_bfloat16_stays_near(kind, length, seed):
    numbers = np.random.default_rng(seed)
    inputs = padded([episode(kind, length, numbers) for _ in range(3)], length, 0)
    exact = predicted(model(), kind, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        rough = predicted(model(), kind, inputs)
    assert (rough - exact).abs().max() < 0.05 * (exact.max() - exact.min())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["babyai-go-to-local", "metaworld-reach"])
def test_threads_change_rounding_alone(task):
    """Threads add up in another order. Choices stay; an arm's way differs in the last digit."""
    agent, before = jatlab.load_agent("jatlab-mini"), torch.get_num_threads()
    episodes = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            env = jatlab.make_env(task)
            episodes.append(jatlab.rollout(agent, env, seed=1_000_003, max_steps=60))
    finally:
        torch.set_num_threads(before)
    one, two = episodes
    name = next(name for name in one if name.endswith("_actions"))
    np.testing.assert_allclose(one[name], two[name], rtol=0, atol=1e-4)
    assert one["return"] == pytest.approx(two["return"], rel=1e-5)
