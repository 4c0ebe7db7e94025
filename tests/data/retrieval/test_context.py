"""Queries in context: exact neighbours of other episodes, in order, and the mixture's loss."""

import numpy as np
import pytest
import torch

from jatlab.data.retrieval.context import ContextSource, retrieved_weight
from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import WindowSource, source_for, to_tensors
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task
from tests.support.training import TINY

TASK = get_task("mujoco-pendulum")
MODEL = TINY | {"resid_dropout": 0.0, "observation_loss_coef": 0.0, "action_loss_coef": 1.0}


def store_of(lengths, seed=0, task=TASK):
    """Episodes of random numbers."""
    rng = np.random.default_rng(seed)
    sizes = task.observation_size, task.action_size
    episodes = [
        {
            "continuous_observations": rng.normal(size=(length, sizes[0])).astype(np.float32),
            "continuous_actions": rng.normal(size=(length, sizes[1])).astype(np.float32),
            "rewards": rng.normal(size=length).astype(np.float32),
        }
        for length in lengths
    ]
    return EpisodeStore.of_episodes(task, episodes)


def context_of(lengths, retrieved, **arguments):
    source = WindowSource(store_of(lengths), 8, loss_weight=arguments.pop("weight", None))
    shown = arguments.pop("shown", source.episodes)
    return ContextSource(source, shown, retrieved, 10.0, **arguments)


def test_neighbours_are_the_nearest_of_other_episodes():
    context = context_of([70, 9, 30], 5)
    store = context.store
    observed = store.columns["continuous_observations"].astype(float)
    for episode, (first, last) in enumerate(zip(store.offsets, store.offsets[1:], strict=False)):
        found = context.neighbours[first:last]
        assert not ((found >= first) & (found < last)).any()
        searched = np.unique(np.searchsorted(store.offsets, found, side="right") - 1)
        rows = np.flatnonzero(np.isin(np.repeat(range(3), store.lengths), searched))
        for query in range(first, last):
            apart = np.linalg.norm(observed[rows] - observed[query], axis=1)
            nearest = rows[np.argsort(apart, kind="stable")[:5]]
            assert context.neighbours[query].tolist() == nearest.tolist(), episode


def test_episodes_are_searched_few_and_many():
    """Some queries see one other episode, and some see all of them."""
    context = context_of([12] * 30, 20)
    seen = [
        len(np.unique(context.neighbours[12 * episode : 12 * (episode + 1)] // 12))
        for episode in range(30)
    ]
    assert min(seen) <= 2 and max(seen) > 10


def test_only_what_is_shown_is_retrieved():
    context = context_of([20] * 4, 6, shown=np.array([1, 3]))
    assert set(np.unique(context.neighbours // 20)) <= {1, 3}
    np.testing.assert_array_equal(np.unique(context.neighbours[20:40] // 20), [3])


def test_a_window_is_what_was_retrieved_and_then_the_query():
    context = context_of([20] * 4, 6)
    windows = context.windows(np.random.default_rng(0))
    assert sorted(windows[:, 0]) == list(range(80)) and (windows[:, 1] == 7).all()
    batch = context.batch(windows[[3, 50]])
    observed = context.store.columns["continuous_observations"]
    for row, query in enumerate((3, 50)):
        rows = [*context.neighbours[query], query]
        np.testing.assert_array_equal(batch["continuous_observations"][row], observed[rows])
        np.testing.assert_array_equal(
            batch["continuous_actions"][row, :-1],
            context.store.columns["continuous_actions"][rows[:-1]],
        )
    assert (batch["loss_weight"][:, :-1] == 0).all() and (batch["loss_weight"][:, -1] > 0).all()


def test_few_timesteps_make_shorter_windows():
    context = context_of([3, 2], 6)
    windows = context.windows(np.random.default_rng(0))
    assert windows[:, 1].tolist() == [3, 3, 3, 4, 4]
    batch = context.batch(windows)
    assert batch["attention_mask"].sum(1).tolist() == [3, 3, 3, 4, 4]
    assert (batch["continuous_observations"][:3, 3] == 0).all()
    observed = context.store.columns["continuous_observations"]
    np.testing.assert_array_equal(batch["continuous_observations"][0, 2], observed[0])
    np.testing.assert_array_equal(batch["continuous_observations"][4, 3], observed[4])


def test_the_loss_is_that_of_the_mixture():
    """REGENT's loss, computed from the model's predictions, equals the one of the batch."""
    context = context_of([30, 30, 30], 4, weight=2.0)
    torch.manual_seed(0)
    model = JatModel(JatConfig.preset("nano", **MODEL)).eval()
    windows = context.windows(np.random.default_rng(0))[:40]
    batch = to_tensors(context.batch(windows))
    output = model(**batch)
    queries = windows[:, 0]
    actions = context.store.columns["continuous_actions"]
    weight = context.weights[queries][:, None]
    # an action of one number fills all features, each with a prediction of its own
    features = model.decode("continuous_actions", output.last_hidden_state[:, 8:9])[:, 0]
    retrieved = actions[context.neighbours[queries, 0]]
    mixed = weight * retrieved + (1 - weight) * features.detach().numpy()
    error = 2.0 * np.square(mixed - actions[queries]).mean()
    assert output.loss.item() == pytest.approx(error, rel=1e-4)


def test_at_distance_zero_nothing_is_left_to_learn():
    twice = store_of([10]).columns
    episode = {name: values for name, values in twice.items() if name != "rewards"}
    episode["rewards"] = np.zeros(10, np.float32)
    store = EpisodeStore.of_episodes(TASK, [episode, episode])
    source = WindowSource(store, 8)
    context = ContextSource(source, source.episodes, 3, 10.0)
    assert (context.weights == 1).all()
    batch = context.batch(context.windows(np.random.default_rng(0)))
    assert (batch["loss_weight"] == 0).all()
    np.testing.assert_array_equal(
        batch["continuous_actions"][:, -1], store.columns["continuous_actions"]
    )


def test_the_weight_falls_with_the_distance_to_one_unit():
    weights = retrieved_weight(np.array([0.0, 0.2, 2.0, 50.0]), 2.0, 10.0)
    np.testing.assert_allclose(weights, np.exp([0.0, -1.0, -10.0, -10.0]))


def test_draws_are_those_of_the_seed():
    one, same, other = (context_of([15] * 6, 4, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.neighbours, same.neighbours)
    assert (one.neighbours != other.neighbours).any()
    assert one.fingerprint == same.fingerprint != other.fingerprint


def test_discrete_actions_are_all_scored():
    task, rng = get_task("babyai-go-to-obj"), np.random.default_rng(0)
    episodes = [
        {
            "discrete_observations": rng.integers(0, 8, (6, 148)),
            "text_observations": np.array(["go to the red ball"] * 6, object),
            "discrete_actions": rng.integers(0, 7, 6),
            "rewards": np.zeros(6, np.float32),
        }
        for _ in range(3)
    ]
    config = JatConfig.preset("nano", **MODEL)
    source = source_for(
        EpisodeStore.of_episodes(task, episodes), config, TextTokenizer.load("jatlab")
    )
    context = ContextSource(source, source.episodes, 4, 10.0)
    batch = context.batch(context.windows(rng)[:2])
    assert batch["discrete_observations"].shape == (2, 5, config.max_discrete_value)
    assert (batch["loss_weight"] == task.loss_weight).all()
    assert batch["discrete_actions"][0, -1] == episodes[0]["discrete_actions"][0]


def test_one_episode_is_refused():
    with pytest.raises(ValueError, match="mujoco-pendulum has one episode: .* record more"):
        context_of([20], 4)


def test_permuted_actions_keep_their_meaning_within_a_query():
    """All actions before a query change alike, other queries change otherwise, targets follow."""
    store = store_of([12] * 6, task=get_task("metaworld-reach"))
    source = WindowSource(store, 8)
    plain, permuted = (
        ContextSource(source, source.episodes, 5, 1.0, permute_actions=on) for on in (False, True)
    )
    windows = plain.windows(np.random.default_rng(0))[:40]
    before, after = (one.batch(windows) for one in (plain, permuted))
    changes = set()
    for old, new in zip(before["continuous_actions"], after["continuous_actions"], strict=True):
        matrix = np.linalg.lstsq(old, new, rcond=None)[0]  # (m, m): 0, 1 and -1
        np.testing.assert_allclose(old @ matrix, new, atol=1e-4)
        np.testing.assert_allclose(np.sort(np.abs(matrix).ravel()), [0] * 12 + [1] * 4, atol=1e-4)
        changes.add(tuple(np.round(matrix).astype(int).ravel()))
    assert len(changes) > 20
    for name in before.keys() - {"continuous_actions"}:
        np.testing.assert_array_equal(before[name], after[name])
    again = permuted.batch(windows)["continuous_actions"]
    np.testing.assert_array_equal(again, after["continuous_actions"])
