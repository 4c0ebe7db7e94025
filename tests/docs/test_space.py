"""The page of the Space: what it shows and answers; its layout, where Gradio is installed."""

import importlib.util
import json

import numpy as np
import pytest
import yaml

from tests.support import ROOT

SPACE = ROOT / "space"


@pytest.fixture(scope="module")
def app():
    spec = importlib.util.spec_from_file_location("space_app", SPACE / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_episode_is_watched_to_its_end(app):
    shown = list(app.watch("babyai-go-to-obj", 1_000_000, "agent", 0.0, 1000))
    pictures, words = zip(*shown, strict=True)
    assert {picture.shape for picture in pictures} == {(560, 944, 3)}
    assert words[0].startswith("babyai-go-to-obj: 0 timesteps") and "over" in words[-1]
    assert len(shown) > 2 and not np.array_equal(pictures[0], pictures[-1])


def test_long_episodes_are_cut(app, monkeypatch):
    monkeypatch.setattr(app, "LONGEST", 2)
    assert len(list(app.watch("babyai-boss-level", 1_000_000, "random", 1.0, 1000))) == 3


def test_it_answers_about_a_scene(app):
    picture, asked = app.scene(1_000_000)
    assert picture.ndim == 3 and asked
    answers = [app.ask(1_000_000, question) for question in asked]
    pairs = [answer.removesuffix(")").split(" (right: ") for answer in answers]
    right = sum(said == known for said, known in pairs)
    assert right >= len(asked) / 2  # most kinds of questions, it answers
    assert "right:" not in app.ask(1_000_000, "what is the meaning of all this?")
    assert app.ask(1_000_000, " ") == "Choose a question, or write one."


def test_the_tasks_are_those_it_was_trained_on(app):
    assert len(app.tasks()) == 108 and app.FIRST_TASK in app.tasks()


def test_the_front_matter_is_what_a_space_wants():
    front = yaml.safe_load((SPACE / "README.md").read_text().split("---")[1])
    assert front["sdk"] == "gradio" and (SPACE / front["app_file"]).is_file()
    assert len(front["short_description"]) <= 60 and front["license"] == "apache-2.0"
    assert front["colorFrom"] in COLOURS and front["colorTo"] in COLOURS
    assert isinstance(front["sdk_version"], str) and isinstance(front["python_version"], str)


COLOURS = ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")


def test_the_page_is_laid_out(app):
    pytest.importorskip("gradio")
    config = json.dumps(app.page().get_config_file(), default=str)
    for words in ("Who plays", "Temperature", "Question", "babyai-go-to-local"):
        assert words in config
