"""The comparison with the published way measures what it says, and says it in tables."""

import json
from importlib import import_module

import numpy as np
import pytest
import torch

from jatlab.cli import main
from jatlab.data.windows import open_source
from jatlab.experiments.benchmarks import algorithms
from jatlab.experiments.benchmarks.cost import full_window
from jatlab.experiments.benchmarks.device import made_up
from jatlab.experiments.benchmarks.hardware import measured_bandwidth
from jatlab.experiments.benchmarks.reference import actors, everyday, queries, run
from jatlab.model.config import JatConfig
from jatlab.model.inputs.batch import Timesteps
from jatlab.model.linear.int8 import _has_products
from jatlab.model.tokenization import TextTokenizer

CPU = torch.device("cpu")
needs_products = pytest.mark.skipif(not _has_products(), reason="no products of 8 bits here")
FOUND = {
    "processor": "a processor",
    "torch": "2.13.0",
    "date": "2026-11-27",
    "preset": "paper",
    "limits": {"tflops": 0.05, "gigabytes_per_second": 10.0},
    "acting": {
        "image": {
            "milliseconds": {
                "plain": 120.0,
                "float32": 60.0,
                "bfloat16": 40.0,
                "int8": 20.0,
                "reading": 34.0,
            },
            "weights": {"float32": 340.0, "bfloat16": 170.0, "int8": 85.0},
        }
    },
    "training": {"image": {"plain": 10.0, "float32": 15.0, "bfloat16": 25.0}},
    "memory": {"image": {"plain": 2000.0, "float32": 1000.0}},
    "load": {
        "alone": {"acting": 20.0, "training": 100.0},
        "beside load": {"acting": 50.0, "training": 250.0},
        "as by default": {"acting": 2000.0, "training": 900.0},
    },
    "mini": {"image": {"plain": 50.0, "one": 200.0, "together": 3000.0}},
    "delivery": {"lists": 20_000.0, "first": 100_000.0, "later": 2_000_000.0},
    "lengths": {"4096": {"local": 25.0, "masked": 200.0, "global": 210.0}},
    "queries": {
        "39 numbers (Meta-World)": {"5": 2.0, "5 together": 1.5, "20": 2.6, "20 together": 1.7},
        "a grid, 18 missions": {"5": 1.0, "20": 1.2},
    },
    "rollout_memory": {"1000": 280.0, "10000": 281.0},
}


def test_tables_have_times_and_ratios():
    text = run.as_tables(FOUND)
    assert "a processor, torch 2.13.0, 2026-11-27; 50 GFLOP/s in matrix products, 10.0 GB/s" in text
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    assert ["image", "120", "60", "40", "20", *["2.0", "3.0", "6.0", "34.0", "17.0", "8.5"]] in rows
    assert ["acting", "20", "50", "2,000", "2.5"] in rows
    assert ["image", "10.0", "15.0", "25.0", "1.50", "2.50", "2,000", "1,000", "0.50"] in rows
    assert ["image", "50", "200", "3,000", "4.0", "15.0"] in rows
    assert ["later epochs", "2,000,000", "100.0"] in rows
    assert ["4,096", "25.0", "200.0", "210.0"] in rows
    assert ["39 numbers (Meta-World)", "2.0", "1.5", "2.6", "1.7"] in rows
    assert ["a grid, 18 missions", "1.0", "–", "1.2", "–"] in rows
    assert "280 MB after 1,000 and 281 MB after 10,000 timesteps" in text


def test_every_query_is_timed():
    found = queries.queries(stored=600)
    both = {"5", "5 together", "20", "20 together"}
    assert [set(times) for times in found.values()] == [both] * 3 + [{"5", "20"}] * 2
    assert all(ms > 0 for times in found.values() for ms in times.values())


def test_calls_are_measured_in_turn():
    told = []
    calls = {name: lambda name=name: told.append(name) for name in "ab"}
    found = actors.in_turn(calls, 3, 1e3)
    assert told == ["a", "b"] * 4
    assert set(found) == {"a", "b"} and all(0 <= one < 1000 for one in found.values())


def test_memory_is_read_at_some_speed():
    assert 0.1 < measured_bandwidth(megabytes=8, repeats=2) < 5000


@pytest.mark.slow
@pytest.mark.parametrize("kind", actors.TASKS)
def test_the_plain_way_gives_what_a_whole_pass_gives(kind):
    """Behind the cache of earlier tokens, the last two timesteps see what they would see."""
    pytest.importorskip("transformers")
    from jatlab.experiments.benchmarks.reference.plain import PlainActor, PlainJat

    torch.manual_seed(0)
    config = JatConfig.preset("nano")
    model = PlainJat(config).eval()
    batch = made_up(config, full_window(config, kind, 2), 1, CPU)
    batch["rewards"] = torch.zeros(1, 2)
    torch.manual_seed(1)
    actor = PlainActor(model, context=6)
    torch.manual_seed(1)
    before = torch.randn(1, 8, config.hidden_size)
    once, again = actor.act(batch), actor.act(batch)
    assert torch.equal(once[0], again[0])  # the cache is as before
    with torch.no_grad():
        steps = Timesteps.of(batch)
        tokens = torch.stack([model._observations(steps), model._actions(steps)], 2).flatten(1, 2)
        hidden = model._hidden(torch.cat([before, tokens], 1), None)[:, -4:]
        wanted = model._decode_actions(steps, hidden[:, ::2])[:, -1]
    torch.testing.assert_close(once[0], wanted, rtol=1e-4, atol=1e-5)


def test_lists_give_what_our_batches_give(tmp_path):
    """Both ways deliver every timestep, and the lists have the integers of grid and mission."""
    import pyarrow.parquet as pq

    tokenizer = TextTokenizer.load()
    algorithms._write_episodes(tmp_path, everyday.ROOM, 7)
    folder = tmp_path / everyday.ROOM / "train"
    source = open_source(everyday.ROOM, tmp_path, JatConfig.preset("nano"), tokenizer)
    masks = [
        list(way)
        for way in (everyday._from_lists(folder, tokenizer), everyday._from_windows(source))
    ]
    assert masks[0][0].sum() == masks[1][0].sum() == source.timesteps
    rows = pq.read_table(next(folder.glob("*.parquet"))).to_pylist()
    lists, ours = (
        everyday._collate(rows, tokenizer),
        source.batch(source.windows(np.random.default_rng(0))),
    )
    words = len(tokenizer.encode("go to the red ball"))
    for name in ("discrete_actions", "attention_mask"):
        assert np.array_equal(lists[name], ours[name])
    seen = ours["discrete_observations"][..., : 148 + words]
    assert np.array_equal(lists["discrete_observations"], seen)


@pytest.mark.slow
@needs_products
def test_the_command_measures_all_kinds(tmp_path, capsys, monkeypatch):
    """In this process, to be quicker."""
    pytest.importorskip("transformers")

    def here(module, name, *given, **_):
        return getattr(import_module(module), name)(*given)

    monkeypatch.setattr(run, "call_apart", here)
    shorter = {"ROLLOUT": (3, 9), "LENGTHS": (64, 256), "EPISODES": 40, "TOGETHER": 4}
    for name, value in shorter.items():
        monkeypatch.setattr(everyday, name, value)
    monkeypatch.setattr(run, "cores", lambda: 1)
    path = tmp_path / "found.json"
    words = ["bench", "--reference", "--presets", "nano", "--output", str(path)]
    assert main(words) == 0
    found = json.loads(path.read_text())
    for kind in actors.TASKS:
        times = found["acting"][kind]["milliseconds"]
        assert set(times) == {"plain", *actors.FORMS, "reading"} and min(times.values()) > 0
        assert min(found["training"][kind].values()) > 0
        assert all(np.isfinite(one) for one in found["memory"][kind].values())
    assert all(set(one) == {"acting", "training"} for one in found["load"].values())
    weights = found["acting"]["discrete"]["weights"]
    assert found["mini"]["image"]["together"] > 0 and found["delivery"]["lists"] > 0
    assert set(found["lengths"]) == {"64", "256"} and set(found["rollout_memory"]) == {"3", "9"}
    assert weights["float32"] == 2 * weights["bfloat16"] == 4 * weights["int8"]
    assert "ratio, int8" in capsys.readouterr().out


def test_the_reference_is_measured_at_one_size(capsys):
    assert main(["bench", "--reference", "--presets", "nano", "mini"]) == 2
    assert "measures one size, and --presets names nano, mini" in capsys.readouterr().err
