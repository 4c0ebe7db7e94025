"""The tables of teachers, and the games that the search was measured on."""

import json
import re
import shutil

import pytest

from jatlab.tasks import get_task, task_scores
from jatlab.tasks.scores import FOLDER
from jatlab.teachers import describe
from jatlab.teachers.listing import format_searches, format_teachers, search_table, teacher_table
from scripts import imitation, teachers
from tests.support import ROOT


def test_the_table_compares_a_search_with_human_and_expert(tmp_path, monkeypatch):
    entry = {
        "mean": 20.5,
        "std": 0.5,
        "episodes": 3,
        "seeds": [2_000_000, 2_000_002],
        "budget": 20,
        "simulated": 19.5,
        "frames_limit": 18_000,
        "blind": 0.1,
        "decisions_per_second": 21.3,
    }
    measured = {
        "atari-pong": {"search": entry, "teacher": {"mean": 19.0}},
        "atari-alien": {"search": entry},
    }
    (tmp_path / "measured_scores.json").write_text(json.dumps(measured))
    shutil.copy(FOLDER / "published_scores.json", tmp_path)
    monkeypatch.setattr("jatlab.tasks.scores.FOLDER", tmp_path)
    [row] = search_table(["atari-pong", "atari-boxing"])
    assert task_scores("atari-pong").teacher.mean == 19.0
    assert task_scores("atari-alien").teacher.mean == 20.5  # no other teacher: the search
    share = (20.5 - row["random"]) / (row["human"] - row["random"])
    assert row["teacher"] == 20.5 and row["human_share"] == pytest.approx(share)
    assert row["budget"] == 20
    text = format_searches(["atari-pong", "atari-boxing"])
    assert "20 simulated steps" in text and "18,000 frames" in text
    assert "Above the human on 1 of 1 games" in text and "21.3" in text
    assert format_searches(["atari-boxing"]) == ""


def test_the_games_to_measure_are_said_beforehand():
    script = (ROOT / "scripts" / "search.sh").read_text()
    games = dict(re.findall(r'^(learnt|others)="(.*)"$', script, re.MULTILINE))
    learnt, others = games["learnt"].split(), games["others"].split()
    eight = "pong boxing breakout freeway qbert mspacman seaquest spaceinvaders"
    assert set(learnt) == set(eight.split())
    assert len({*learnt, *others}) == len(learnt) + len(others) == 27
    assert all(get_task(f"atari-{game}").domain == "atari" for game in (*learnt, *others))
    assert {f"atari-{game}" for game in learnt} == set(imitation.mini.GAMES)


def test_the_published_table_counts_who_is_beaten():
    row = {
        "task": "atari-pong",
        "teacher": 20.5,
        "std": 0.5,
        "episodes": 3,
        "random": -20.7,
        "human": 14.6,
        "jat": 16.5,
        "expert": 21.0,
        "human_share": 1.17,
        "expert_share": None,
        "budget": 240,
        "frames_limit": 18_000,
        "simulated": 66.5,
        "decisions_per_second": 51.5,
    }
    other = row | {"task": "atari-hero", "teacher": 12_345.0, "jat": 12_346.0}
    text = teachers.table([row, other])
    assert "2 games: above the published human on 2, above the published JAT on 1" in text
    assert "at most 240 simulated steps" in text
    assert "| pong | **20.5** ± 0.5 | 3 | -20.7 | 14.6 | 16.5 | 21.0 | 1.17 | – | 66 | 52 |" in text
    assert "| hero | **12,345** " in text


def test_the_table_says_who_teaches_and_how_well():
    (row,) = teacher_table(["mujoco-pendulum", "python-docs"])
    assert row["teacher"] == 1000 and row["episodes"] == 100
    assert row["taught_by"] == describe("mujoco-pendulum") and "regulator" in row["taught_by"]
    random, expert = row["published_random"], row["expert"]
    assert row["share"] == pytest.approx((1000 - random) / (expert - random)) and row["share"] > 2
    text = format_teachers(["mujoco-pendulum", "metaworld-reach"])
    assert "2 teachers" in text and " 2.12 " in text and "linear-quadratic regulator" in text
    with pytest.raises(ValueError, match="none of these tasks has a teacher"):
        format_teachers(["python-docs"])
