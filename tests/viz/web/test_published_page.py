"""The page of the published scores holds what the figures show."""

import json
import re

import pytest

from jatlab.tasks import task_names, task_scores
from jatlab.viz import published_page
from jatlab.viz.published import published_score


@pytest.fixture(scope="module")
def data():
    text = published_page().html
    assert len(text.encode()) < 100_000
    return json.loads(re.search(r'id="scores">(.*?)</script>', text, re.S)[1])


def test_every_task_is_there(data):
    names = [task["name"] for domain in data["domains"] for task in domain["tasks"]]
    assert len(names) == len(set(names)) == 157 and set(names) <= set(task_names())


def test_scores_are_the_published_ones(data):
    [atari] = [domain for domain in data["domains"] if domain["name"] == "atari"]
    pong = next(task for task in atari["tasks"] if task["name"] == "atari-pong")
    score = published_score("atari-pong")
    assert pong["scores"]["expert"] == pytest.approx([score.score, score.half], rel=1e-4)
    human = published_score("atari-pong", "human")
    assert pong["scores"]["human"][0] == pytest.approx(human.score, rel=1e-4)
    bowling = next(task for task in atari["tasks"] if task["name"] == "atari-bowling")
    assert bowling["scores"]["expert"] is None  # its expert is no better than random


def test_returns_are_those_of_everyone_measured(data):
    [mujoco] = [domain for domain in data["domains"] if domain["name"] == "mujoco"]
    ant = next(task for task in mujoco["tasks"] if task["name"] == "mujoco-ant")
    means = {row[0]: row[2] for row in ant["returns"]}
    assert means["JAT, published"] == pytest.approx(task_scores("mujoco-ant").jat.mean, rel=1e-4)
    assert "human, published" not in means
