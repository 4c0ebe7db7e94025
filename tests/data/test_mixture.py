"""The sequence of batches: each window once an epoch, shares by weight, the same after resuming."""

import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.data.mixture import BatchPlan, Mixture, prefetch
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
    lambda each: [Lengths(*pair) for pair in zip(NAMES, each, strict=False)]
)
weights = st.lists(st.sampled_from([0.5, 1.0, 3.0]), min_size=4, max_size=4)


def mix(sources, batch_timesteps, weights, seed):
    names = [source.name for source in sources]
    return Mixture(sources, batch_timesteps, dict(zip(names, weights, strict=False)), seed)


def take(mixture, count):
    return list(itertools.islice(mixture, count))


def content(plan):
    return plan.number, plan.task, plan.windows.tolist(), plan.share


# --- epochs and shares ---


@settings(max_examples=40)
@given(several, weights, st.integers(1, 200), st.integers(0, 3))
def test_a_task_sees_each_window_once_in_each_of_its_epochs(
    sources, weights, batch_timesteps, seed
):
    mixture = mix(sources, batch_timesteps, weights, seed)
    seen = {s.name: [] for s in sources}
    plans = take(mixture, 60)
    assert [plan.number for plan in plans] == list(range(60))
    for plan in plans:
        seen[plan.task] += plan.windows[:, 0].tolist()
    for source in sources:
        every = sorted(source.windows(None)[:, 0])
        ours, size = seen[source.name], len(every)
        epochs = [ours[i : i + size] for i in range(0, len(ours), size)]
        assert all(sorted(epoch) == every for epoch in epochs[:-1])
        assert not epochs or len(set(epochs[-1])) == len(epochs[-1])


def test_epochs_and_seeds_differ_but_not_the_same_seed():
    def orders(seed):
        mixture = Mixture([Lengths(NAMES[0], [5] * 50)], 20, seed=seed)
        return [[p.windows.tolist() for p in take(mixture, 13)] for _ in range(2)]

    assert orders(0) == orders(0)
    assert orders(0)[0] != orders(0)[1] != orders(1)[1]


@pytest.mark.slow
@given(weights, st.integers(0, 5))
def test_batches_follow_the_sampling_weights_at_all_times(weights, seed):
    mixture = mix([Lengths(name, [3, 4]) for name in NAMES], 4, weights, seed)
    shares = dict(zip(NAMES, np.array(weights) / sum(weights), strict=True))
    counts = Counter()
    for number, plan in enumerate(take(mixture, 100), 1):
        counts[plan.task] += 1
        for name, share in shares.items():
            assert abs(counts[name] - number * share) <= 1 + share * len(NAMES)


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


# --- resuming and processes ---


@settings(max_examples=40)
@given(several, weights, st.integers(1, 200), st.integers(0, 3), st.integers(1, 50))
def test_resuming_anywhere_gives_the_rest_of_the_sequence(
    sources, weights, batch_timesteps, seed, cut
):
    before, after = (mix(sources, batch_timesteps, weights, seed) for _ in range(2))
    plans = take(before, cut)
    after.load_state_dict(json.loads(json.dumps(plans[-1].state)))
    assert [content(p) for p in take(after, 20)] == [content(p) for p in take(before, 20)]


@settings(max_examples=20)
@given(several, st.integers(1, 4), st.integers(1, 3), st.integers(1, 100))
def test_processes_share_the_sequence_without_overlap(
    sources, processes, accumulate, batch_timesteps
):
    per_step = processes * accumulate
    every = [content(p) for p in take(Mixture(sources, batch_timesteps), 5 * per_step)]
    shares = []
    for process in range(processes):
        steps = prefetch(Mixture(sources, batch_timesteps), per_step, process, processes)
        for plans, _ in itertools.islice(steps, 5):
            shares += [content(p) for p in plans[process::processes]]
    assert sorted(shares) == sorted(every)


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
    episodes = [make_episode(task, length, rng) for length in (30, 7, 50)]
    store = EpisodeStore.of_episodes(task, episodes)

    def fresh():
        return Mixture([WindowSource(store, 8, random_start=True)], 24)

    before, after = fresh(), fresh()
    after.load_state_dict(take(before, 17)[-1].state)
    assert [content(p) for p in take(after, 30)] == [content(p) for p in take(before, 30)]


# --- bad input ---


def test_a_state_of_other_data_or_settings_is_refused():
    source, longer = Lengths(NAMES[0], [1, 2]), Lengths(NAMES[0], [1, 2, 3])
    state = Mixture([source], 3).state_dict()
    changed = "batch_timesteps was 3 when this state was saved and is 4 now"
    for other, message in (
        (Mixture([longer], 3), "episodes of metaworld-reach are not those"),
        (Mixture([source, Lengths(NAMES[1], [1])], 3), "episodes of metaworld-door-close"),
        (Mixture([source], 4), changed),
        (Mixture([source], 3, seed=1), "seed was 0"),
        (Mixture([source], 3, {NAMES[0]: 2}), "weights was"),
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
    windows = source.windows(None)
    assert BatchPlan(7, source, windows[2:5]).share == 1
    assert str(BatchPlan(7, source, windows[2:5])) == "batch 7 (metaworld-reach, episodes 1, 2)"
    assert str(BatchPlan(7, source, windows)).endswith("episodes 0, 1, 2, 3, 4, 5, 6, 7 …)")
