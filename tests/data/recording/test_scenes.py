"""Scenes of MiniGrid: real renderings, and words that are true of the grid behind them."""

import re

import numpy as np
import pytest

from jatlab.data.recording.scenes import (
    COLOURS,
    FIRST_TEST_SEED,
    KINDS,
    PLURALS,
    Scene,
    as_text,
    caption,
    draw_scene,
    is_test_view,
    question_type,
    questions,
)

SEEDS = [*range(60), *range(FIRST_TEST_SEED, FIRST_TEST_SEED + 12)]


@pytest.fixture(scope="module")
def scenes():
    return [draw_scene(seed) for seed in SEEDS]


def things_of(scene):
    """What is in view, read from the grid by another route than the code under test.

    Of each thing: kind, colour, state, right, ahead.
    """
    found = []
    for (column, row), kind in np.ndenumerate(scene.view[..., 0]):
        if kind in KINDS and (column, row) != (3, 6):
            _, colour, state = scene.view[column, row]
            looks = KINDS[kind], COLOURS[colour], ("open", "closed", "locked")[state]
            found.append((*looks, column - 3, 6 - row))
    return found


def test_a_scene_is_its_seed(scenes):
    for seed, scene in list(zip(SEEDS, scenes, strict=True))[::20]:
        again = draw_scene(seed)
        assert np.array_equal(again.picture, scene.picture)
        assert np.array_equal(again.view, scene.view)
    assert len({scene.view.tobytes() for scene in scenes}) > 0.9 * len(scenes)


def test_no_view_of_a_test_can_occur_in_training(scenes):
    for seed, scene in zip(SEEDS, scenes, strict=True):
        assert is_test_view(scene.view) == (seed >= FIRST_TEST_SEED)


def test_the_picture_shows_the_view(scenes):
    """Equal cells look alike, different ones differ: the picture tells every answer."""
    looks = {}
    for scene in scenes:
        assert scene.picture.shape == (112, 112, 3) and scene.picture.dtype == np.uint8
        for (column, row), _ in np.ndenumerate(scene.view[..., 0]):
            x, y, agent = 16 * column, 16 * row, (column, row) == (3, 6)
            cell = scene.picture[y : y + 16, x : x + 16].tobytes()
            looks.setdefault((*scene.view[column, row].tolist(), agent), set()).add(cell)
    assert all(len(cells) == 1 for cells in looks.values())
    assert len(set.union(*looks.values())) == len(looks)
    assert sum(not key[3] and key[0] in KINDS for key in looks) > 30


def true_answer(scene, question):
    """The answer by another route than the code under test."""
    things = things_of(scene)
    named = [t for t in things if re.search(rf"\b{t[1]} {t[0]}\b", question)]
    match question_type(question):
        case "colour":
            (answer,) = [t[1] for t in things if question == f"what colour is the {t[0]}?"]
        case "thing":
            (answer,) = [t[0] for t in things if question == f"what is the {t[1]} thing?"]
        case "whether":
            answer = "yes" if named else "no"
        case "number":
            name = re.fullmatch(r"how many (.+) are there\?", question)[1]
            answer = str(sum(name in (PLURALS[t[0]], f"{t[1]} things") for t in things))
        case "side":
            ((*_, right, _),) = named
            answer = "left" if right < 0 else "right" if right else "ahead"
        case "distance":
            ((*_, ahead),) = named
            answer = str(ahead)
        case "state":
            ((_, _, answer, *_),) = named
        case "front":
            before = {(t[3], t[4]): f"{t[1]} {t[0]}" for t in things}.get((0, 1))
            answer = before or {2: "wall", 1: "nothing"}[scene.view[3, 5, 0]]
    return answer


def test_every_answer_is_true_and_every_question_has_one_answer(scenes):
    asked = set()
    for number, scene in enumerate(scenes):
        for question, answer in questions(scene, np.random.default_rng(number), 12):
            assert true_answer(scene, question) == answer, (question, things_of(scene))
            asked.add(question_type(question))
    assert asked == {"colour", "thing", "whether", "number", "side", "distance", "front", "state"}


def test_a_no_has_colour_and_kind_in_view_where_it_can(scenes):
    mixed = 0
    for scene in scenes:
        for question, answer in questions(scene, np.random.default_rng(0), 12):
            if question_type(question) == "whether" and answer == "no":
                colour, kind = question.removeprefix("is there a ").removesuffix("?").split()
                kinds, colours, *_ = zip(*things_of(scene), strict=True)
                mixed += colour in colours and kind in kinds
    assert mixed >= 10


def test_a_caption_names_the_nearest_and_counts_the_others(scenes):
    for scene in scenes:
        things, text = things_of(scene), caption(scene)
        there = " ".join(f"{t[1]} {t[0]}" for t in things)
        named = re.findall(rf"({'|'.join(COLOURS)}) (\w+)", text)
        assert all(f"{colour} {kind}" in there for colour, kind in named)
        assert text.count(",") == min(len(things), 5) - 1 + (len(things) > 5)
        assert (f"{len(things) - 5} more" in text) == (len(things) > 5)


def test_a_caption_of_a_view_made_by_hand():
    view = np.ones((7, 7, 3), np.uint8) * [1, 0, 0]
    view[3, 5] = 6, 0, 0  # a red ball right in front
    view[1, 2] = 4, 2, 0  # an open blue door, 4 ahead and 2 left
    view[6, 6] = 5, 4, 0  # a yellow key beside the agent
    words = caption(Scene(np.empty(0), view.astype(np.uint8)))
    assert words == (
        "a red ball 1 ahead, a yellow key 3 right, an open blue door 4 ahead and 2 left."
    )
    text = as_text([("what colour is the key?", "yellow"), ("how many boxes are there?", "0")])
    assert text == "Q: what colour is the key? A: yellow\nQ: how many boxes are there? A: 0"


def test_no_thing_is_spoken_of_twice(scenes):
    """Else a question would hold the answer to another one."""
    named = rf"({'|'.join(COLOURS)}) ({'|'.join(PLURALS)})"
    for number, scene in enumerate(scenes):
        rows, names = questions(scene, np.random.default_rng(number), 12), []
        for question, answer in rows:
            if answer != "no" and (found := re.search(named, f"{question} {answer}")):
                names.append(" ".join(found.groups()))
            if question_type(question) == "colour":
                names.append(f"{answer} {question[len('what colour is the ') : -1]}")
            if question_type(question) == "thing":
                names.append(f"{question.split()[3]} {answer}")
        there = [f"{t[1]} {t[0]}" for t in things_of(scene)]
        assert all(names.count(name) <= there.count(name) for name in names), (rows, there)
