"""Meta-World's teachers act from the observation."""

import numpy as np

from jatlab.tasks import make_env
from jatlab.teachers import get_teacher


def test_metaworld_actions_follow_from_the_observation():
    """Without hidden state, the order of the observations does not matter."""
    name = "metaworld-pick-place"
    env, teacher = make_env(name, render_mode=None), get_teacher(name)
    observations = [env.reset(seed=3)[0]]
    actions = []
    for _ in range(60):
        actions.append(teacher.act(observations[-1]))
        observations.append(env.step(actions[-1])[0])
    fresh = get_teacher(name)
    for t in reversed(range(60)):
        assert np.array_equal(fresh.act(observations[t]), actions[t])
    assert np.abs(actions).max() <= 1
    assert actions[0].dtype == np.float32 and actions[0].shape == (4,)
