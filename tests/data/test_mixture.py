"""The sequence of batches: each window once an epoch, shares by weight, the same after resuming and
over several processes.
"""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.data.mixture import BatchPlan, Mixture, cut_batches, prefetch
from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import WindowSource
from jatlab.tasks import get_task
from tests.support.synthetic import make_episode

NAMES = ("metaworld-reach", "metaworld-door-close", "babyai-go-to-obj", "babyai-open-door")


class Lengths:
    """A source with nothing but lengths: the mixture asks for no more."""

    def __init__(self, name, lengths):
        self.name, self.lengths, self.fingerprint = name, np.array(lengths), str(lengths)

    def windows(self, rng):
        return np.stack([np.cumsum(self.lengths) - self.lengths, self.lengths], axis=1)

    def batch(self, windows):
        return {"starts": windows[:, 0]}

    def describe(self, windows):
        return self.name


lengths = st.lists(st.integers(1, 64), min_size=1, max_size=40)
several = st.lists(lengths, min_size=1, max_size=4).map(
    lambda all: [Lengths(n, ls) for n, ls in zip(NAMES, all)]
)
weights = st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=4, max_size=4)


def take(mixture, count):
    return list(itertools.islice(mixture, count))


def content(plan):
    return plan.number, plan.task, plan.windows.tolist(), plan.share


# --- batches
# -----------------------------------------------------------------------------------------------------------------


@given(lengths, st.integers(1, 500), st.integers(0, 3))
def test_batches_have_each_window_once_and_are_not_too_large(lengths, batch_timesteps, seed):
    lengths = np.array(lengths)
    batches = cut_batches(lengths, batch_timesteps, np.random.default_rng(seed))
    assert sorted(np.concatenate(batches)) == list(range(len(lengths)))
    assert all(len(b) == 1 or lengths[b].max() * len(b) <= batch_timesteps for b in batches)
    assert all(lengths[b].sum() >= 0.7 * lengths[b].max() * len(b) for b in batches)


@pytest.mark.parametrize("batch_timesteps", [512, 1024, 2048])
def test_short_episodes_of_many_lengths_train_on_little_padding(batch_timesteps):
    lengths = np.clip(
        np.random.default_rng(0).geometric(1 / 9, 4000), 1, 64
    )  # like BabyAI's simple levels
    batches = cut_batches(lengths, batch_timesteps, np.random.default_rng(1))
    padded = sum(lengths[b].max() * len(b) for b in batches)
    one_by_one = np.random.default_rng(1).permutation(lengths).reshape(-1, 40)
    assert 1 - lengths.sum() / padded < 0.10 < 1 - lengths.sum() / (one_by_one.max(1) * 40).sum()


# --- epochs and shares
# -------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(several, weights, st.integers(1, 200), st.integers(0, 3))
def test_a_task_sees_each_window_once_in_each_of_its_epochs(
    sources, weights, batch_timesteps, seed
):
    mixture = Mixture(sources, batch_timesteps, dict(zip([s.name for s in sources], weights)), seed)
    seen = {s.name: [] for s in sources}
    for plan in take(mixture, 60):
        seen[plan.task] += plan.windows[:, 0].tolist()
    for source in sources:
        every = sorted(source.windows(None)[:, 0])
        epochs = [
            seen[source.name][i : i + len(every)]
            for i in range(0, len(seen[source.name]), len(every))
        ]
        assert all(sorted(epoch) == every for epoch in epochs[:-1])
        assert not epochs or len(set(epochs[-1])) == len(epochs[-1])


def test_epochs_differ_and_seeds_differ_and_the_same_seed_is_the_same():
    def orders(seed):
        mixture = Mixture([Lengths(NAMES[0], [5] * 50)], 20, seed=seed)
        return [[p.windows.tolist() for p in take(mixture, 13)] for _ in range(2)]

    assert orders(0) == orders(0)
    assert orders(0)[0] != orders(0)[1] != orders(1)[1]


@given(weights, st.integers(0, 5))
def test_turns_follow_the_weights_at_all_times(weights, seed):
    sources = [Lengths(name, [3, 4]) for name in NAMES]
    mixture, counts = Mixture(sources, 4, dict(zip(NAMES, weights)), seed), Counter()
    for number, plan in enumerate(take(mixture, 100), 1):
        counts[plan.task] += 1
        for name, weight in zip(NAMES, weights):
            assert abs(counts[name] - number * weight / sum(weights)) <= 1 + weight / sum(
                weights
            ) * len(NAMES)


def test_the_order_of_tasks_is_not_a_fixed_round():
    mixture = Mixture([Lengths(name, [3]) for name in NAMES], 4)
    rounds = {tuple(p.task for p in take(mixture, 4)) for _ in range(20)}
    assert len(rounds) > 5


@given(lengths, st.integers(1, 300))
def test_shares_let_every_timestep_of_an_epoch_count_the_same(lengths, batch_timesteps):
    mixture = Mixture([Lengths(NAMES[0], lengths)], batch_timesteps)
    plans = take(mixture, 1)
    while plans[-1].state["counters"][NAMES[0]][1] == 0:
        plans += take(mixture, 1)
    assert np.allclose([p.share / p.timesteps for p in plans], len(plans) / sum(lengths))


# --- resuming and processes
# --------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=40)
@given(several, weights, st.integers(1, 200), st.integers(0, 3), st.integers(1, 50))
def test_resuming_anywhere_gives_the_rest_of_the_sequence(
    sources, weights, batch_timesteps, seed, cut
):
    def fresh():
        return Mixture(
            sources, batch_timesteps, dict(zip([s.name for s in sources], weights)), seed
        )

    before, after = fresh(), fresh()
    plans = take(before, cut)
    after.load_state_dict(json.loads(json.dumps(plans[-1].state)))
    assert [content(p) for p in take(after, 20)] == [content(p) for p in take(before, 20)]


@settings(deadline=None, max_examples=20)
@given(several, st.integers(1, 4), st.integers(1, 3), st.integers(1, 100))
def test_processes_share_the_sequence_without_overlap(
    sources, processes, accumulate, batch_timesteps
):
    whole = [
        content(p) for p in take(Mixture(sources, batch_timesteps), 5 * processes * accumulate)
    ]
    shares = []
    for process in range(processes):
        steps = prefetch(
            Mixture(sources, batch_timesteps), processes * accumulate, process, processes
        )
        shares += [
            content(p) for plans, _ in itertools.islice(steps, 5) for p in plans[process::processes]
        ]
    assert sorted(shares) == sorted(whole)


def test_prefetched_arrays_are_those_of_the_plans():
    steps = prefetch(Mixture([Lengths(NAMES[0], [1, 2, 3])], 3), plans_per_step=2)
    for plans, batches in itertools.islice(steps, 10):
        assert [b["starts"].tolist() for b in batches] == [p.windows[:, 0].tolist() for p in plans]


def test_an_error_while_preparing_comes_out():
    class Broken(Lengths):
        def batch(self, windows):
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        next(prefetch(Mixture([Broken(NAMES[0], [1, 2])], 3)))


def test_random_starts_resume_as_well():
    rng, task = np.random.default_rng(0), get_task("metaworld-reach")
    store = EpisodeStore.of_episodes(
        task, [make_episode(task, length, rng) for length in (30, 7, 50)]
    )

    def fresh():
        return Mixture([WindowSource(store, 8, random_start=True)], 24)

    before, after = fresh(), fresh()
    after.load_state_dict(take(before, 17)[-1].state)
    assert [content(p) for p in take(after, 30)] == [content(p) for p in take(before, 30)]


# --- bad input
# ---------------------------------------------------------------------------------------------------------------


def test_a_state_of_other_data_or_settings_is_refused():
    state = Mixture([Lengths(NAMES[0], [1, 2])], 3).state_dict()
    for other, message in (
        (Mixture([Lengths(NAMES[0], [1, 2, 3])], 3), "episodes of metaworld-reach are not those"),
        (
            Mixture([Lengths(NAMES[0], [1, 2]), Lengths(NAMES[1], [1])], 3),
            "episodes of metaworld-door-close",
        ),
        (
            Mixture([Lengths(NAMES[0], [1, 2])], 4),
            "batch_timesteps was 3 when this state was saved and is 4 now",
        ),
        (Mixture([Lengths(NAMES[0], [1, 2])], 3, seed=1), "seed was 0"),
        (Mixture([Lengths(NAMES[0], [1, 2])], 3, {NAMES[0]: 2}), "weights was"),
    ):
        with pytest.raises(ValueError, match=message):
            other.load_state_dict(state)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (([], 10), "needs sources"),
        (([Lengths("a", [1]), Lengths("a", [1])], 10), "different names"),
        (([Lengths("a", [1])], 0), "batch_timesteps"),
        (([Lengths("a", [1])], 10, {"a": 0}), "must be positive"),
        (([Lengths("a", [1])], 10, {"b": 1}), "not in the mixture"),
        (([Lengths("a", [1])], 10, {}, -1), "seed"),
    ],
)
def test_impossible_mixtures(arguments, message):
    with pytest.raises(ValueError, match=message):
        Mixture(*arguments)


def test_a_plan_says_what_it_is():
    rng, task = np.random.default_rng(0), get_task("metaworld-reach")
    store = EpisodeStore.of_episodes(task, [make_episode(task, 5, rng) for _ in range(12)])
    source = WindowSource(store, 4)
    assert (
        str(BatchPlan(7, source, source.windows(None)[2:5]))
        == "batch 7 (metaworld-reach, episodes 1, 2)"
    )
    assert str(BatchPlan(7, source, source.windows(None))).endswith(
        "episodes 0, 1, 2, 3, 4, 5, 6, 7 …)"
    )


def test_a_window_without_timesteps_is_refused():
    with pytest.raises(ValueError, match="a window of 0 timesteps"):
        cut_batches(np.array([3, 0]), 8, np.random.default_rng(0))
