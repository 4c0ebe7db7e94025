"""Every teacher by the name of its task: it solves the task, or there is none."""

import numpy as np
import pytest

from jatlab.tasks import make_env, task_names
from jatlab.teachers import RandomTeacher, Teacher, describe, get_teacher
from jatlab.teachers.search.settings import SearchSettings, describe_search
from jatlab.teachers.search.teacher import SearchTeacher
from tests.teachers.playing import play

LEAST = {
    "babyai-go-to-local": 0.9,
    "babyai-open-door": 0.95,
    "metaworld-reach": 780,
    "metaworld-door-close": 470,
}


@pytest.mark.parametrize("name, least", LEAST.items())
def test_a_teacher_solves_its_task(name, least):
    env, teacher = make_env(name, render_mode=None), get_teacher(name)
    assert np.mean([play(env, teacher, seed)[0] for seed in range(5)]) > least


def test_an_episode_depends_on_its_seed_alone():
    """The same seed again, after others, in the same environment and in a fresh one."""
    for name in ("babyai-pickup-dist", "metaworld-drawer-open"):
        env, teacher = make_env(name, render_mode=None), get_teacher(name)
        first = play(env, teacher, 5)
        play(env, teacher, 6)
        fresh = make_env(name, render_mode=None), get_teacher(name)
        for total, actions in (play(env, teacher, 5), play(*fresh, 5)):
            assert total == first[0] and np.array_equal(actions, first[1])


def test_every_babyai_and_metaworld_task_has_a_teacher():
    names = task_names("babyai") + task_names("metaworld")
    assert len(names) == 89
    for name in names:
        teacher = get_teacher(name)
        assert isinstance(teacher, Teacher) and not isinstance(teacher, RandomTeacher)


def test_a_task_without_a_teacher_says_who_has_one():
    message = "no teacher yet; the domains with one are babyai, metaworld, mujoco, atari"
    with pytest.raises(ValueError, match=f"python-docs has {message}"):
        get_teacher("python-docs")
    with pytest.raises(ValueError, match="did you mean metaworld-reach"):
        get_teacher("metaworld-reachh")


def test_who_teaches_atari_is_said_with_budget_and_limit():
    assert isinstance(get_teacher("atari-alien"), SearchTeacher)
    assert isinstance(get_teacher("atari-pong", "search"), SearchTeacher)
    assert describe("atari-pong", "search") == describe("atari-alien") == describe_search()
    with pytest.raises(ValueError, match="look-ahead search plays Atari games, not mujoco-ant"):
        get_teacher("mujoco-ant", "search")
    words = describe("atari-montezumarevenge")
    assert f"{SearchSettings().budget} simulated steps a decision" in words
    assert "18,000 frames" in words
