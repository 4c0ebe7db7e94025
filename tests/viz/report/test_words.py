"""Formats of numbers, and sentences about results."""

import pytest

from jatlab.viz.report.words import comparison, heading, interval, number, plural
from tests.viz.report.samples import TASKS, results

pytestmark = pytest.mark.usefixtures("measured")


@pytest.mark.parametrize(
    "value, words",
    [
        (0, "0"),
        (0.9341, "0.934"),
        (12.345, "12.3"),
        (-1234.5, "−1,234"),
        (16912.5, "16,912"),
        (0.00012, "0.00012"),
    ],
)
def test_numbers_are_short_and_readable(value, words):
    assert number(value) == words


def test_intervals_and_counts_are_short_and_readable():
    assert interval([0.914, 0.968], 2) == "0.91–0.97"
    assert interval([-0.1, 0.2], 2) == "−0.10 to 0.20"
    assert plural(1, "task") == "1 task" and plural(2000, "step") == "2,000 steps"


def test_the_published_jat_is_met_on_the_experts_scale_only():
    found = results(TASKS[:2], mean=1.2)
    tasks = found["tasks"]
    said = comparison(tasks, found["domains"]["babyai"])
    assert "above the published JAT's on 2 of 2 tasks, with the whole interval on 2" in said
    assert "at least as well as the teacher on 2 of 2 tasks" in said
    for task in tasks.values():
        task["by_expert"] = {"left_out": "no published expert"}
    assert "JAT" not in comparison(tasks, found["domains"]["babyai"])


@pytest.mark.parametrize("name, told", [("agent", "the agent"), ("jatlab-mini", "jatlab-mini")])
def test_a_heading_names_the_agent(name, told):
    assert heading(name) == f"How well {told} plays"
