"""Streamed windows: the same as from recordings, each of them once, wherever they are read."""

import hashlib
import itertools
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from jatlab.data.mixture import Mixture, prefetch
from jatlab.data.published.streams import open_stream, stream_windows
from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import source_for
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task
from tests.support.hub import (
    NAMES,
    PICTURES,
    TEXT,
    make_row,
    make_shards,
    to_episode,
    write_card,
    write_shards,
)
from tests.support.training import TINY

CONFIG = JatConfig.preset("nano", max_position_embeddings=16)
MUJOCO, ATARI = NAMES["mujoco"], NAMES["atari"]
shard = st.lists(st.integers(0, 20), min_size=1, max_size=4)
shards = st.lists(shard, min_size=1, max_size=4).filter(lambda each: any(map(any, each)))
# a fixture of the module does not change between examples
shared_fixture = [HealthCheck.function_scoped_fixture]


def recorded_windows(rows, name, tokenizer, config=CONFIG):
    """What `WindowSource` makes of the same episodes: one batch a window."""
    episodes = [to_episode(row, name) for row in rows if row["rewards"]]
    source = source_for(EpisodeStore.of_episodes(get_task(name), episodes), config, tokenizer)
    return [
        {column: values[0] for column, values in source.batch(window[None]).items()}
        for window in source.windows(None)
    ]


def kinds(arrays):
    return {name: (values.dtype, values.shape) for name, values in arrays.items()}


def digest(arrays):
    """A window or batch in sixteen letters."""
    parts = [
        (name, values.dtype.str, values.shape, np.asarray(values).tobytes())
        for name, values in sorted(arrays.items())
    ]
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


# --- the same windows ---


@pytest.mark.parametrize("name", NAMES.values())
@settings(max_examples=5, suppress_health_check=shared_fixture)
@given(lengths=shards, seed=st.integers(0, 3))
def test_streamed_windows_are_those_of_recordings(tmp_path_factory, tokenizer, name, lengths, seed):
    folder = tmp_path_factory.mktemp("repository")
    rows = make_shards(folder, name, lengths, seed=seed)
    stream = stream_windows(name, CONFIG, tokenizer, folder, buffer=1 + seed * 20)
    found, wanted = list(stream), recorded_windows(rows, name, tokenizer)
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert kinds(ours) == kinds(theirs)
        assert all(np.array_equal(ours[n], theirs[n]) for n in theirs)
    assert stream.empty <= sum(length == 0 for length in itertools.chain(*lengths))


def test_atari_windows_of_32_timesteps_with_shifted_rewards(tmp_path):
    (row,) = make_shards(tmp_path, ATARI, [[70]])
    windows = list(stream_windows(ATARI, JatConfig.preset("nano"), source=tmp_path))
    assert [len(w["rewards"]) for w in windows] == [32, 32, 6]
    rewards = np.concatenate([w["rewards"] for w in windows])
    np.testing.assert_array_equal(rewards, np.float32([0, *row["rewards"][:-1]]))
    assert windows[0]["image_observations"].shape == (32, 4, 84, 84)


def test_documents_and_pictures_come_as_rows_of_tokens(tmp_path, tokenizer):
    documents = make_shards(tmp_path, TEXT, [[30, 40], [50]])
    pictures = make_shards(tmp_path, PICTURES, [[3, 5], [2]])
    rows = list(stream_windows(TEXT, CONFIG, tokenizer, tmp_path))
    assert all(len(row["input_ids"]) <= 16 for row in rows)
    tokens = np.concatenate([row["input_ids"][row["attention_mask"] > 0] for row in rows])
    wanted = []
    for document in documents:
        wanted += [*tokenizer.encode(document["text"]), tokenizer.end_id]
    assert Counter(wanted) <= Counter(tokens.tolist())
    # a single last token takes the one before it along
    assert len(tokens) - len(wanted) in (0, 1)
    config = JatConfig.preset("nano", image_size=32)
    shown = list(stream_windows(PICTURES, config, tokenizer, tmp_path))
    assert [row["pixel_values"].shape for row in shown] == [(3, 32, 32)] * 3
    texts = [tokenizer.decode(row["input_ids"]) for row in shown]
    assert texts == [row["text"] for row in pictures]


# --- shared out ---


def _share(folder, process, processes, workers):
    windows = stream_windows(MUJOCO, CONFIG, None, folder, "train", process, processes)
    loader = DataLoader(windows, batch_size=None, num_workers=workers, collate_fn=_numpy)
    return [digest(window) for window in loader]


def _numpy(window):
    return {name: np.asarray(values) for name, values in window.items()}


def _send(folder, process, processes, workers, queue):
    torch.set_num_threads(1)
    queue.put(_share(folder, process, processes, workers))


@pytest.mark.parametrize("files", [1, 2, 3, 4, 5])
def test_two_processes_of_two_workers_see_each_window_once(tmp_path, files):
    rows = make_shards(tmp_path, MUJOCO, [[9, 3, 20], [0, 30], [5], [4, 4, 4, 4], [17]][:files])
    wanted = Counter(digest(window) for window in recorded_windows(rows, MUJOCO, None))
    context = torch.multiprocessing.get_context("fork")
    queue = context.Queue()
    tasks = [(tmp_path, number, 2, 2, queue) for number in range(2)]
    processes = [context.Process(target=_send, args=task) for task in tasks]
    for process in processes:
        process.start()
    shares = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert Counter(shares[0] + shares[1]) == wanted and max(wanted.values()) == 1


@pytest.mark.parametrize("processes, workers", [(1, 0), (1, 2), (3, 0), (5, 2)])
def test_other_numbers_of_processes_and_workers_lose_none_either(tmp_path, processes, workers):
    rows = make_shards(tmp_path, MUJOCO, [[9, 3, 20], [30], [5]])
    shares = [_share(tmp_path, process, processes, workers) for process in range(processes)]
    wanted = Counter(digest(window) for window in recorded_windows(rows, MUJOCO, None))
    assert Counter(itertools.chain(*shares)) == wanted


def test_a_process_that_there_is_not(tmp_path):
    make_shards(tmp_path, MUJOCO, [[3]])
    with pytest.raises(ValueError, match="process 2 of 2: the first is 0, the last 1"):
        stream_windows(MUJOCO, CONFIG, None, tmp_path, "train", 2, 2)


# --- in the mixture ---


def take(mixture, count):
    """What the next batches are."""
    plans = itertools.islice(mixture, count)
    return [(p.number, p.task, round(p.share, 12), digest(p.load())) for p in plans]


def windows_of(plan):
    """Each of a batch's windows, without its padding."""
    batch = plan.load()
    for i, mask in enumerate(batch["attention_mask"]):
        yield digest({name: values[i, : mask.sum()] for name, values in batch.items()})


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repository")
    rows = {
        MUJOCO: make_shards(folder, MUJOCO, [[9, 3, 20], [0, 30], [5, 12, 1]]),
        ATARI: make_shards(folder, ATARI, [[6, 2], [9]]),
    }
    make_shards(folder, MUJOCO, [[7, 20]], "test", seed=5)
    write_card(folder, [MUJOCO])
    make_shards(folder, TEXT, [[30, 40, 10], [50, 20]])
    return folder, rows


def mixture(folder, tokenizer=None, names=(MUJOCO,), seed=0, buffer=25, **choices):
    choices["buffer"] = buffer
    sources = [open_stream(name, folder, CONFIG, tokenizer, seed, **choices) for name in names]
    return Mixture(sources, 24, seed=seed)


@pytest.mark.filterwarnings("ignore:mujoco-ant")
@pytest.mark.parametrize("buffer", [1, 25, 1000])
def test_each_pass_through_a_stream_has_every_window_once(repository, buffer):
    folder, rows = repository
    wanted = sorted(digest(window) for window in recorded_windows(rows[MUJOCO], MUJOCO, None))
    mixed, seen = mixture(folder, buffer=buffer), []
    while len(seen) < 3 * len(wanted):
        seen += windows_of(next(mixed))
    passes = [seen[i : i + len(wanted)] for i in range(0, 3 * len(wanted), len(wanted))]
    assert all(sorted(each) == wanted for each in passes)
    assert passes[0] != passes[1] != passes[2]  # in another order each time


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:mujoco-ant")
@settings(max_examples=8, suppress_health_check=shared_fixture)
@given(cut=st.integers(1, 40), buffer=st.sampled_from([1, 25, 60]), random_start=st.booleans())
def test_resuming_anywhere_gives_the_rest_of_the_sequence(
    repository, tokenizer, cut, buffer, random_start
):
    names, choices = (MUJOCO, ATARI, TEXT), {"buffer": buffer, "random_start": random_start}
    before, after = (mixture(repository[0], tokenizer, names, **choices) for _ in range(2))
    plans = list(itertools.islice(before, cut))
    after.load_state_dict(json.loads(json.dumps(plans[-1].state)))
    assert take(after, 12) == take(before, 12)


@pytest.mark.filterwarnings("ignore:mujoco-ant")
def test_processes_share_one_sequence_without_overlap(repository):
    def loaded(process, processes, steps):
        prefetched = prefetch(mixture(repository[0]), 2, process, processes)
        for plans, batches in itertools.islice(prefetched, steps):
            for plan, batch in zip(plans[process::processes], batches, strict=True):
                yield plan.number, digest(batch)

    shares = [list(loaded(process, 2, 10)) for process in range(2)]
    assert sorted(shares[0] + shares[1]) == list(loaded(0, 1, 10))
    assert len(shares[0]) == len(shares[1]) == 10


@pytest.mark.filterwarnings("ignore:mujoco-ant")
def test_seeds_differ_and_the_same_seed_is_the_same(repository):
    orders = [take(mixture(repository[0], seed=seed), 12) for seed in (0, 0, 1)]
    assert orders[0] == orders[1] != orders[2]


def test_a_stream_that_has_changed_is_not_gone_on_with(tmp_path):
    make_shards(tmp_path, MUJOCO, [[9, 3, 20], [30]])
    state = next(mixture(tmp_path)).state
    make_shards(tmp_path, MUJOCO, [[9, 3, 20], [31]])
    message = "the episodes of mujoco-ant are not those that this state was saved with"
    with pytest.raises(ValueError, match=message):
        mixture(tmp_path).load_state_dict(state)
    with pytest.raises(ValueError, match="the episodes of mujoco-ant are not those"):
        mixture(tmp_path, buffer=26).load_state_dict(state)


def test_empty_episodes_are_counted_and_said(tmp_path):
    make_shards(tmp_path, MUJOCO, [[0, 9, 0, 3]])
    source = open_stream(MUJOCO, tmp_path, CONFIG)
    with pytest.warns(UserWarning, match="mujoco-ant: .* has empty episodes; they are left out"):
        source.read(source.beginning)
    assert source.seen["empty"] >= 2
    make_shards(tmp_path / "none", MUJOCO, [[0, 0]])
    nothing = open_stream(MUJOCO, tmp_path / "none", CONFIG)
    with pytest.raises(ValueError, match="no episodes of mujoco-ant, split 'train', to train on"):
        nothing.read(nothing.beginning)


def test_bad_rows_are_named_when_they_are_reached(tmp_path):
    rows = [make_row(ATARI, 3, np.random.default_rng(0)) for _ in range(2)]
    rows[1]["image_observations"][2]["bytes"] = b"no picture"
    write_shards(tmp_path, ATARI, [rows])
    stream = iter(stream_windows(ATARI, CONFIG, source=tmp_path, buffer=1))
    next(stream)
    where = f"{tmp_path}, train-00000-of-00001.parquet: atari-pong, episode 1, timestep 2"
    with pytest.raises(ValueError, match=f"{where}, column 'image_observations'"):
        next(stream)
    rows[0]["rewards"][1] = float("nan")
    write_shards(tmp_path, ATARI, [rows])
    with pytest.raises(ValueError, match="atari-pong, episode 0, column 'rewards': NaN"):
        next(prefetch(Mixture([open_stream(ATARI, tmp_path, CONFIG)], 24)))


def test_a_batch_says_which_rows_it_is_of(repository):
    told = str(next(mixture(repository[0], names=(ATARI,), buffer=5)))
    assert told.startswith("batch 0 (atari-pong, episode 0, counted from ")
    assert ".parquet: atari-pong, episode" in told


def test_remote_files_are_streamed_and_lost_connections_named(tmp_path, monkeypatch):
    import fsspec

    make_shards(tmp_path, MUJOCO, [[5, 9], [7]])
    elsewhere = fsspec.filesystem("memory")
    elsewhere.put(f"{tmp_path / MUJOCO}/", "/repository/", recursive=True)
    files = [f"memory://{path}" for path in sorted(elsewhere.ls("/repository", detail=False))]
    found_files = "jatlab.data.published.layout._hub_splits"
    monkeypatch.setattr(found_files, lambda task, source: {"train": files})

    def windows(source):
        return [digest(window) for window in stream_windows(MUJOCO, CONFIG, source=source)]

    assert windows("somebody/something") == windows(tmp_path)
    elsewhere.rm(files[1].removeprefix("memory://"))
    where = "somebody/something, train-00001-of-00002.parquet"
    with pytest.raises(ConnectionError, match=f"{where}: reading stopped .FileNotFoundError"):
        windows("somebody/something")


def test_choices_that_do_not_fit(repository, tokenizer):
    with pytest.raises(ValueError, match="buffer is a number of timesteps, at least 1, got 0"):
        open_stream(MUJOCO, repository[0], CONFIG, buffer=0)
    with pytest.raises(ValueError, match="wikipedia: the loss of text has no weight"):
        open_stream(TEXT, repository[0], CONFIG, tokenizer, loss_weight=2.0)
    make_shards(repository[0], PICTURES, [[3]])
    message = "ok-vqa: a picture takes 49 positions of 16, which leaves no room for text"
    with pytest.raises(ValueError, match=message):
        list(stream_windows(PICTURES, CONFIG, tokenizer, repository[0]))


def test_one_mixture_streams_every_kind_of_task(tmp_path, tokenizer):
    names = [*NAMES.values(), TEXT, PICTURES]
    for name in names:
        make_shards(tmp_path, name, [[5, 3], [4]])
    config = JatConfig.preset("nano", image_size=32)
    mixed = Mixture([open_stream(name, tmp_path, config, tokenizer) for name in names], 64)
    names = {plan.task: set(plan.load()) for plan in itertools.islice(mixed, 12)}
    episodes = {"rewards", "attention_mask", "loss_weight"}
    vectors = episodes | {"continuous_observations", "continuous_actions"}
    assert names == {
        NAMES["atari"]: episodes | {"image_observations", "discrete_actions"},
        NAMES["babyai"]: episodes | {"discrete_observations", "discrete_actions"},
        NAMES["metaworld"]: vectors,
        NAMES["mujoco"]: vectors,
        TEXT: {"input_ids", "attention_mask"},
        PICTURES: {"pixel_values", "input_ids", "attention_mask"},
    }


# --- training ---


@pytest.mark.filterwarnings("ignore:mujoco-ant")
def test_training_on_streams_and_recordings_stops_and_resumes(repository, tmp_path):
    from safetensors.torch import load_file

    from jatlab.training.trainer import TrainConfig, train
    from tests.support.synthetic import write_task

    torch.set_num_threads(1)
    write_task(tmp_path / "data", "metaworld-reach", [30] * 4)
    validation = {"val_fraction": 0.3, "val_every": 6}
    schedule = {"steps": 6, "save_every": 3, "log_every": 1, "decay": "constant", "warmup": 0.0}
    recipe = TrainConfig(
        data=str(tmp_path / "data"),
        stream=str(repository[0]),
        tasks=[MUJOCO, "metaworld-reach"],
        output=str(tmp_path / "straight"),
        model=TINY,
        batch_timesteps=32,
        precision="fp32",
        device="cpu",
        progress=False,
        **schedule,
        **validation,
    )
    straight, half = train(recipe), train(replace(recipe, output=str(tmp_path / "half"), steps=3))
    resumed = train(TrainConfig.of_run(half, steps=6))
    ours, theirs = (load_file(run / "model.safetensors") for run in (resumed, straight))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    told = [json.loads(line) for line in (straight / "log.jsonl").read_text().splitlines()]
    # the one from the split `test`, the other from episodes held out
    assert set(told[-1]["validation"]) == {MUJOCO, "metaworld-reach"}
    data = json.loads((straight / "training.json").read_text())["data"]
    assert data[MUJOCO]["episodes"] >= 7 and data["metaworld-reach"]["episodes"] == 3


def test_what_is_streamed_must_be_named():
    from jatlab.training.trainer import TrainConfig

    with pytest.raises(ValueError, match="name the tasks to stream from nobody/nothing"):
        TrainConfig(stream="nobody/nothing", steps=1)
