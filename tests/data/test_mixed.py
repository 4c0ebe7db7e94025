"""Tasks of one kind side by side: every window is its own task's, once an epoch."""

import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.data.mixed import MixedSource, mix_alike
from jatlab.data.mixture import Mixture
from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import WindowSource, to_tensors
from jatlab.model import JatModel, Objective
from jatlab.tasks import domain_of, get_task
from tests.support.helpers import small
from tests.support.synthetic import make_episode

ARMS = ("metaworld-reach", "metaworld-door-close", "metaworld-assembly")
GRIDS = ("babyai-go-to-obj", "babyai-open-door")
# observations of 3, 27 and 11 values; actions of 1, 8 and 2
BODIES = ("mujoco-pendulum", "mujoco-ant", "mujoco-reacher")
lengths = st.lists(st.integers(1, 9), min_size=1, max_size=5)


def source(name, lengths, longest=4, seed=0, random_start=False):
    task, rng = get_task(name), np.random.default_rng(seed)
    store = EpisodeStore.of_episodes(task, [make_episode(task, length, rng) for length in lengths])
    text_ids = None
    if task.observation == "discrete":
        text_ids = np.arange(3 * len(store.texts)).reshape(-1, 3)
    return WindowSource(store, longest, text_ids, random_start=random_start)


@settings(max_examples=30)
@given(
    several=st.lists(lengths, min_size=2, max_size=3),
    random_start=st.booleans(),
    seed=st.integers(0, 99),
)
def test_each_window_is_what_its_own_task_has_there(several, random_start, seed):
    pairs = enumerate(zip(ARMS, several, strict=False))
    sources = [source(*pair, seed=n, random_start=random_start) for n, pair in pairs]
    mixed, rng = MixedSource(sources), np.random.default_rng(seed)
    windows = rng.permutation(mixed.windows(rng))
    together = mixed.batch(windows)
    assert windows[:, 1].sum() == sum(map(sum, several))
    assert len(np.unique(windows[:, 0])) == len(windows)
    rows = np.concatenate([s.store.columns["continuous_observations"] for s in sources])
    for i, (start, length) in enumerate(windows):
        observations = together["continuous_observations"][i]
        np.testing.assert_array_equal(observations[:length], rows[start : start + length])
        assert together["attention_mask"][i].sum() == length
        assert not observations[length:].any()


@pytest.mark.slow
@settings(max_examples=15)
@given(
    several=st.lists(lengths, min_size=2, max_size=3),
    seed=st.integers(0, 99),
    fourier=st.booleans(),
    predicted=st.sampled_from([1.0, 1e-9]),
)
def test_bodies_of_different_sizes_learn_what_each_learns_alone(several, seed, fourier, predicted):
    """The losses of rows side by side are those of each task's rows by themselves.

    So it is in batches with and without action tokens, and with and without Fourier features.
    """
    pairs = enumerate(zip(BODIES, several, strict=False))
    sources = [source(*pair, seed=n) for n, pair in pairs]
    mixed, rng = MixedSource(sources), np.random.default_rng(seed)
    windows = rng.permutation(mixed.windows(rng))
    config = small(
        hide_past_actions=True,
        continuous_fourier_features=fourier,
        continuous_symlog=fourier,
        max_continuous_size=40,
    )
    torch.manual_seed(seed)
    model = JatModel(config).train()
    model.objective = Objective(observations_predicted=predicted)
    together, steps = model(**to_tensors(mixed.batch(windows))), windows[:, 1].sum()
    apart = {"action_loss": 0.0, "observation_loss": 0.0}
    predictable = np.maximum(windows[:, 1] - 1, 0).sum()
    for own, _, rows in mixed._parts(windows):
        batch = own.batch(rows)
        output = model(**to_tensors(batch))
        assert "continuous_sizes" not in batch
        apart["action_loss"] += output.action_loss * rows[:, 1].sum() / steps
        share = np.maximum(rows[:, 1] - 1, 0).sum() / max(predictable, 1)
        apart["observation_loss"] += output.observation_loss * share
    for name, loss in apart.items():
        ours = getattr(together, name)
        torch.testing.assert_close(ours, torch.as_tensor(loss), rtol=1e-4, atol=1e-5)
    assert (together.observation_loss == 0) == (predicted < 1 or predictable == 0)


def test_missions_come_with_their_own_tasks_words():
    sources = [source(name, [3, 2], seed=n) for n, name in enumerate(GRIDS)]
    mixed = MixedSource(sources)
    # the second task's first episode, then the first task's
    batch = mixed.batch(np.array([[5, 3], [0, 3]]))
    for row, its in ((0, sources[1]), (1, sources[0])):
        alone = its.batch(np.array([[0, 3]]))
        for name, values in alone.items():
            np.testing.assert_array_equal(batch[name][row], values[0])
            assert batch[name].dtype == values.dtype


def test_alike_are_mixed_and_weigh_as_much_as_before():
    names = (*ARMS, *GRIDS, "mujoco-ant", "mujoco-pendulum")
    sources = [source(name, [3], seed=n) for n, name in enumerate(names)]
    found, weights = mix_alike(sources, dict.fromkeys(ARMS, 2.0))
    wanted = {"metaworld-reach + 2": 6.0, "babyai-go-to-obj + 1": 2.0, "mujoco-ant + 1": 2.0}
    assert weights == wanted and [s.name for s in found] == list(weights)
    assert [domain_of(s.name) for s in found] == ["metaworld", "babyai", "mujoco"]
    assert found[0].fingerprint != mix_alike([source(n, [4]) for n in ARMS], {})[0][0].fingerprint
    told = found[0].describe(found[0].windows(np.random.default_rng(0)))
    assert [part.partition(",")[0] for part in told.split("; ")] == list(ARMS)
    batches = Counter(plan.task for plan in itertools.islice(Mixture(found, 64, weights), 900))
    assert [batches[name] for name in weights] == pytest.approx([540, 180, 180], abs=2)


def test_alike_with_different_weights_are_told():
    message = "different task_weights .1.0, 2.0.: mixed tasks need the same"
    with pytest.raises(ValueError, match=message):
        mix_alike([source(name, [3]) for name in ARMS], {ARMS[0]: 2.0})
