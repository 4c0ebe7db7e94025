"""Runs of `jatlab ablate specialists`, their costs and their figure."""

import pytest

from jatlab.experiments.ablations import ABLATIONS, assemble
from jatlab.experiments.ablations.figures import specialists_figure
from jatlab.experiments.ablations.specialists import (
    acting,
    costs_table,
    minutes_to_reach,
    run_specialist,
)
from jatlab.experiments.ablations.variants import RECORDINGS, Variant
from jatlab.experiments.baselines.specialist_agent import SpecialistAgent, specialist
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task
from tests.support.language_data import documents, write_texts

ROOM = "babyai-go-to-obj"
ABLATION = ABLATIONS["specialists"]


@pytest.mark.slow
@pytest.mark.parametrize("start", ["specialist", "nothing"])
def test_a_run_says_what_the_network_costs(start, tmp_path, monkeypatch):
    monkeypatch.setitem(RECORDINGS, ROOM, (10, 0.0))
    variant = Variant("v", (ROOM,), start=start, steps=2, against="specialists")
    run = run_specialist(variant, 0, 2, tmp_path)
    assert len(run["tasks"][ROOM]["scores"]) == 2
    assert run["steps"] == 2 and run["timesteps"] > 0 and run["training_minutes"] > 0
    one, many = run["acting"]["1"], run["acting"]["64"]
    assert 0 < one["milliseconds"] < many["milliseconds"]
    assert one["megabytes"] >= 4e-6 * run["parameters"] - 0.01
    assert many["megabytes"] > one["megabytes"]


@pytest.mark.slow
def test_a_run_of_texts_is_scored_against_the_unigram(tmp_path):
    write_texts(tmp_path, "python-docs", documents(3))
    write_texts(tmp_path, "python-docs", documents(2, seed=1), "test")
    variant = Variant("v", ("python-docs",), start="specialist", steps=2, against="specialists")
    found = run_specialist(variant, 0, 1, tmp_path)["tasks"]["python-docs"]
    assert found["mean"] == pytest.approx(found["unigram"] / found["perplexity"], rel=0.01)
    assert found["perplexity"] > found["unigram"]  # two steps teach nothing


def test_what_is_held_grows_with_the_environments(tokenizer):
    task = get_task(ROOM)
    model = specialist(task, JatConfig.preset("nano"), tokenizer, None)
    agent = SpecialistAgent(model, task, tokenizer, 9)
    held = [acting(agent, ROOM, n)["megabytes"] for n in (1, 64)]
    assert held[1] - held[0] == pytest.approx(63 * 4 * 128 / 1e6, abs=0.011)  # a state of 128


def test_minutes_to_reach_a_score():
    points = {0.5: 0.0, 1: 0.4, 2: 0.8, 4: 0.8}
    assert minutes_to_reach(points, 0.4) == 1
    assert minutes_to_reach(points, 0.6) == pytest.approx(2**0.5)
    assert minutes_to_reach(points, -1) == 0.5
    assert minutes_to_reach(points, 0.9) is None


def results():
    """Made-up results: specialists reach 1 after two minutes, mini half of it."""
    runs = []
    for seed in (0, 1, 2):
        for variant in ABLATION.variants:
            most = {"specialist": 1.0, "nothing": 0.5, "jatlab-mini": 0.8}[variant.start]
            mean = most * (variant.minutes or 2) / 2 + 0.01 * seed
            played = {"mean": mean, "success": None, "scores": [mean, mean]}
            held = {"milliseconds": 2.0, "megabytes": 3.0}
            run = {"variant": variant.name, "seed": seed, "minutes": 0.1, "parameters": 1234}
            acting = {} if "docs" in variant.name else {"acting": {"1": held, "64": held}}
            runs.append(run | acting | {"tasks": {variant.tasks[0]: played}})
    return assemble(ABLATION, ABLATION.variants, runs)


def test_the_table_has_a_row_for_each_task_and_network():
    head, rows = costs_table(results())
    assert [row[:2] for row in rows[:3]] == [
        ["open-door", "specialist"], ["open-door", "mini"], ["open-door", "jatlab-mini"],
    ]  # fmt: skip
    assert len(rows) == 15 and all(len(row) == len(head) for row in rows)
    assert rows[0][2:] == ["1,234", "1.01", "1.7", "2.0", "2.0", "3.0", "3.0"]
    assert rows[1][4] == "over 2" and rows[2][4] == "–"
    assert rows[-1][5:] == ["–"] * 4


def test_the_figure_has_a_panel_for_each_task():
    figure = specialists_figure(results())
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "open-door", "drawer-open", "hopper", "mspacman", "docs",
    ]  # fmt: skip
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert sorted(labels) == ["jatlab-mini", "mini", "specialist"]
    line = figure.axes[0].containers[0].lines[0]
    assert list(line.get_xdata()) == [0.5, 1, 2]
    assert "3 run(s)" in figure.caption and "open-door: specialist" in figure.alt
