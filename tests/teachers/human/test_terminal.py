"""Playing in a terminal, without one: each line names a key or an action."""

import io
import os
import pty

import numpy as np
import pytest

from jatlab.tasks import make_env
from jatlab.teachers import TeacherFailed, describe, get_teacher
from jatlab.teachers.human.terminal import HumanTeacher, characters
from tests.support.little_tasks import GRID, MISSION, PUSH


def begun(lines, task=GRID):
    target, env = io.StringIO(), make_env(task)
    teacher = HumanTeacher(io.StringIO(lines), target)
    observation, _ = env.reset(seed=3)
    teacher.reset(env, 3)
    return teacher, observation, env, target


def test_keys_and_names_are_actions():
    teacher, observation, env, target = begun("2\naction 0\nnonsense\n3\n")
    assert [teacher.act(observation) for _ in range(3)] == [1, 0, 2]
    told = target.getvalue()
    assert MISSION in told and "seed 3, timestep 2" in told and "1 action 0" in told
    assert told.count("▀") == 3 * 64 * 21  # frames of 40 x 60 pixels
    env.close()


def test_continuous_actions_have_two_keys_a_number():
    teacher, observation, env, _ = begun("2\na1 +\n", PUSH)
    assert teacher.act(observation).tolist() == [-1, 0]
    assert teacher.act(observation).tolist() == [0, 1]
    env.close()


def test_giving_up_and_the_end_of_the_input():
    teacher, observation, env, _ = begun("Q\n")
    with pytest.raises(TeacherFailed, match="given up"):
        teacher.act(observation)
    with pytest.raises(KeyboardInterrupt):
        teacher.act(observation)
    env.close()


def test_a_real_terminal_needs_no_enter():
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "r") as source:
        os.write(ours, b"x2\x1b[C3")
        env = make_env("babyai-go-to-obj")
        observation, _ = env.reset(seed=0)
        teacher = HumanTeacher(source, io.StringIO())
        teacher.reset(env, 0)
        assert teacher.act(observation) == 1  # the arrow to the right: "right"
        env.close()
    os.close(ours)


def test_two_pixels_a_character():
    frame = np.zeros((2, 2, 3), np.uint8)
    frame[0, 0], frame[1, 0] = (255, 0, 0), (0, 255, 0)
    assert characters(frame, 2).startswith("\x1b[38;2;255;0;0;48;2;0;255;0m▀\x1b[38;2;0;0;0;48;2;")


def test_the_teacher_has_a_name():
    assert isinstance(get_teacher(GRID, "human"), HumanTeacher)
    assert describe(GRID, "human") == "a person at the keyboard"
