"""Keys and the actions that they stand for."""

import numpy as np
import pytest

from jatlab.tasks import get_task
from jatlab.teachers.human.keys import Pad
from jatlab.teachers.human.names import actions_of


def pad_of(name):
    task = get_task(name)
    return Pad(task, actions_of(task))


def test_babyai_has_arrows_and_initials():
    pad = pad_of("babyai-go-to-obj")
    keys = {name: key for key, name in pad.keys.items()}
    assert keys["left"] == "ArrowLeft" and keys["forward"] == "ArrowUp" and keys["pick up"] == "p"
    assert len(pad.keys) == 7
    assert [pad.action(name) for name in pad.names] == list(range(7))
    assert pad.idle == 6  # "done" changes nothing in MiniGrid


def test_meta_worlds_grip_stays_as_it_was_left():
    pad = pad_of("metaworld-reach")
    assert pad.action("x +").tolist() == [1, 0, 0, 0]
    assert pad.action("grip +").tolist() == [0, 0, 0, 1]
    assert pad.action("z −").tolist() == [0, 0, -1, 1]
    assert pad.idle.tolist() == [0, 0, 0, 1]
    assert pad.action("grip −").tolist() == [0, 0, 0, -1]
    assert pad.idle.dtype == np.float32


def test_every_joint_has_a_key_for_each_direction():
    pad = pad_of("mujoco-humanoid")
    assert len(pad.names) == 2 * 17 + 1 and len(pad.keys) == 35
    assert pad.action("a3 −").tolist() == [0.0] * 3 + [-1.0] + [0.0] * 13
    assert not pad.idle.any()


def test_a_game_has_a_key_for_each_of_its_18_actions():
    task = get_task("atari-boxing")
    names = ["noop", "fire", "up", "right", "left", "down", *(f"other{i}" for i in range(12))]
    pad = Pad(task, names)
    assert len(pad.keys) == 18 and pad.keys["ArrowUp"] == "up" and pad.keys["f"] == "fire"
    assert pad.idle == 0


def test_an_unknown_action_is_a_clear_error():
    with pytest.raises(ValueError, match="has no action 'jump'; it has left, right, forward"):
        pad_of("babyai-go-to-obj").action("jump")
