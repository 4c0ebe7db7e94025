"""The BabyAI bot: it stops, searches and recovers."""

import pytest

from jatlab.tasks import make_env
from jatlab.teachers import TeacherFailed, get_teacher
from tests.teachers.playing import play


@pytest.mark.slow
def test_the_bot_is_stopped_when_it_goes_round_in_circles():
    name = "babyai-go-to-imp-unlock"
    env, teacher = make_env(name, render_mode=None), get_teacher(name)
    with pytest.raises(TeacherFailed, match="round in circles"):
        play(env, teacher, 6)
    assert play(env, teacher, 5)[0] > 0.5


def test_the_bot_looks_for_a_key_elsewhere_than_behind_its_door():
    """On these seeds the original bot loops for ever, in its second and third step."""
    name = "babyai-unlock-to-unlock"
    env, teacher = make_env(name, render_mode=None), get_teacher(name)
    assert all(play(env, teacher, seed)[0] > 0.9 for seed in (4, 7, 9))


def test_the_bot_finds_its_way_back_when_disturbed():
    name = "babyai-go-to-local"
    env, teacher = make_env(name, render_mode=None), get_teacher(name)
    observation, _ = env.reset(seed=1)
    teacher.reset(env)
    executed, reward = None, 0.0
    for t in range(40):
        wanted = teacher.act(observation, executed)
        executed = 0 if t < 3 else wanted  # turned left three times, whatever it wanted
        observation, reward, terminated, truncated, _ = env.step(executed)
        if terminated or truncated:
            break
    assert terminated and reward > 0
