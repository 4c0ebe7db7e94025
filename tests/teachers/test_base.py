"""The random policy."""

import numpy as np

from jatlab.tasks import make_env
from jatlab.teachers import RandomTeacher


def test_random_actions_are_seeded_and_cover_the_space():
    env = make_env("babyai-go-to-obj", render_mode=None)
    env.reset(seed=0)
    draws = []
    for seed in (1, 1, 2):
        teacher = RandomTeacher()
        teacher.reset(env, seed)
        draws.append([teacher.act({}) for _ in range(200)])
    assert draws[0] == draws[1] != draws[2] and set(draws[0]) == set(range(7))
    env = make_env("metaworld-reach", render_mode=None)
    teacher = RandomTeacher()
    teacher.reset(env, 0)
    actions = np.array([teacher.act({}) for _ in range(200)])
    assert actions.dtype == np.float32 and actions.shape == (200, 4)
    assert actions.min() < -0.9 and actions.max() > 0.9
