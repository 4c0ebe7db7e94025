"""Batches gathered on a device are the batches that NumPy gathers, for the same windows."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from jatlab.data.mixed import MixedSource
from jatlab.data.storage import EpisodeStore
from jatlab.data.symmetries import GridSymmetries
from jatlab.data.windows import WindowSource, open_source, to_tensors
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task
from jatlab.training.on_device.resident import ResidentSymmetries, resident
from tests.support.language_data import documents, picture, write_pictures, write_texts
from tests.support.synthetic import make_episode

CPU = torch.device("cpu")
ARMS = ("metaworld-reach", "metaworld-door-close")
BODIES = ("mujoco-hopper", "mujoco-ant", "mujoco-pendulum")
ROOMS = ("babyai-go-to-obj", "babyai-open-door")
GAMES = ("atari-pong", "atari-breakout")


def mixed(names, lengths, longest=4, random_start=False):
    sources = []
    for seed, name in enumerate(names):
        task, rng = get_task(name), np.random.default_rng(seed)
        episodes = [make_episode(task, length, rng) for length in lengths[seed]]
        store = EpisodeStore.of_episodes(task, episodes)
        texts = None
        if task.observation == "discrete":
            texts = rng.integers(0, 90, (len(store.texts), 64))
        sources.append(WindowSource(store, longest, texts, random_start=random_start))
    return MixedSource(sources) if len(sources) > 1 else sources[0]


def same(ours, theirs):
    """Equal where there is something; both padded to the longer of the two."""
    assert ours.keys() == theirs.keys()
    assert not ours["attention_mask"][:, theirs["attention_mask"].shape[1] :].any()
    for name, values in theirs.items():
        if name == "continuous_sizes":
            assert torch.equal(ours[name], values.to(ours[name].dtype))
            continue
        steps = values.shape[1]
        if name == "loss_weight":  # of padding it does not matter
            mask = theirs["attention_mask"]
            assert torch.equal(ours[name][:, :steps] * mask, values * mask)
            continue
        assert torch.equal(ours[name][:, :steps].to(values.dtype), values), name


@settings(max_examples=25)
@given(
    names=st.sampled_from([ARMS, BODIES, ROOMS, GAMES, ("metaworld-reach",), ("atari-pong",)]),
    lengths=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=3, max_size=3),
    seed=st.integers(0, 99),
)
def test_the_batch_is_the_one_that_numpy_gathers(names, lengths, seed):
    source = mixed(names, lengths)
    windows = source.windows(np.random.default_rng(seed))
    np.random.default_rng(seed).shuffle(windows)
    batch = resident(source, CPU).batch(torch.from_numpy(windows))
    same(batch, to_tensors(source.batch(windows)))


@pytest.mark.parametrize("random_start", [False, True])
def test_an_epoch_has_every_timestep_once(random_start):
    source = mixed(ARMS, [[9, 3, 6], [5, 7, 1]], random_start=random_start)
    data, seen = resident(source, CPU, seed=3), []
    for _ in range(len(data.windows)):
        start = data.position
        data.draw(1)
        seen.append(data.windows[start].tolist())
    covered = sorted(row for first, length in seen for row in range(first, first + length))
    assert covered == list(range(9 + 3 + 6 + 5 + 7 + 1))


def test_batches_run_on_from_epoch_to_epoch():
    data = resident(mixed(ARMS, [[4, 4], [4]]), CPU)
    shapes = {tuple(data.draw(2)["rewards"].shape) for _ in range(7)}
    assert shapes == {(2, 4)} and data.epoch >= 4


def test_the_same_seed_draws_the_same_batches():
    source = mixed(ROOMS, [[9, 3], [5, 7]])
    ours, others = resident(source, CPU, seed=5), resident(source, CPU, seed=5)
    different = resident(source, CPU, seed=6)
    first = [ours.draw(3)["discrete_observations"] for _ in range(4)]
    again = [others.draw(3)["discrete_observations"] for _ in range(4)]
    unlike = [different.draw(3)["discrete_observations"] for _ in range(4)]
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(first, unlike, strict=True))


def test_symmetries_are_those_of_numpy(tokenizer):
    """Given the same permutations and the same coin, the views are equal."""
    symmetries, rng = GridSymmetries(tokenizer), np.random.default_rng(0)
    source = mixed(ROOMS, [[9, 3, 4, 6], [5, 7, 8, 2]])
    for part in source.sources:  # missions with colours and sides in them
        words = np.concatenate([symmetries.colours, symmetries.sides])
        part.text_ids = rng.choice(words, part.text_ids.shape)
        grids = part.store.columns["discrete_observations"]
        part.store.columns["discrete_observations"] = np.where(
            np.arange(grids.shape[1]) == 0, grids % 4, grids
        )  # a direction is one of four
    windows = source.windows(rng)
    batch = source.batch(windows)
    permutations = np.stack([rng.permutation(6) for _ in windows])
    mirrored = rng.random(len(windows)) < 0.5
    grids, actions = batch["discrete_observations"].copy(), batch["discrete_actions"].copy()
    symmetries._permute_colours(grids, permutations)
    grids[mirrored], actions[mirrored] = symmetries._mirror(grids[mirrored], actions[mirrored])
    actions[batch["attention_mask"] == 0] = 0
    ours = ResidentSymmetries(symmetries, CPU).view(
        to_tensors(batch), torch.from_numpy(permutations), torch.from_numpy(mirrored)
    )
    assert (grids != batch["discrete_observations"]).any() and mirrored.any()
    assert torch.equal(ours["discrete_actions"], torch.from_numpy(actions))
    valid = batch["attention_mask"] == 1
    assert torch.equal(
        ours["discrete_observations"][torch.from_numpy(valid)], torch.from_numpy(grids[valid])
    )


@pytest.mark.parametrize("kind", ["text", "pictures"])
def test_texts_and_pictures_lie_there_too(kind, tmp_path, tokenizer):
    config, name = JatConfig.preset("nano"), "python-docs" if kind == "text" else "ok-vqa"
    if kind == "text":
        write_texts(tmp_path, name, documents(9))
    else:
        write_pictures(tmp_path, name, [picture(i) for i in range(5)], documents(5, longest=9))
    source = open_source(name, tmp_path, config, tokenizer)
    data = resident(source, CPU)
    windows = source.windows(np.random.default_rng([0, 0]))
    same(data.batch(torch.arange(len(windows))[:, None]), to_tensors(source.batch(windows)))
    seen = [data.draw(1)["input_ids"] for _ in range(len(windows))]
    assert len({tuple(row.flatten().tolist()) for row in seen}) == len(windows)
