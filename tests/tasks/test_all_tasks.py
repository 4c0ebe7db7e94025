"""All 157 environments, made one by one and compared with the table."""

import numpy as np
import pytest

from jatlab.tasks import get_task, make_env
from jatlab.tasks.registry import published_tasks
from tests.tasks.test_env import DTYPES, dtypes, play, random_action, same

# not task_names(): other test modules register tasks when they are imported
PUBLISHED = list(published_tasks())
SIMULATED = [task.name for task in PUBLISHED if task.domain in ("metaworld", "mujoco")]


def test_there_are_157_published_tasks():
    assert len(PUBLISHED) == 157 and len(SIMULATED) == 61


@pytest.mark.slow
@pytest.mark.parametrize("name", [task.name for task in PUBLISHED])
def test_the_environment_is_as_the_table_says(name):
    task, env = get_task(name), make_env(name, seed=0)
    observation, _ = env.reset()
    rng = np.random.default_rng(0)
    for _ in range(5):
        assert dtypes(observation) == DTYPES[task.observation]
        assert env.observation_space.contains(observation)
        assert next(iter(observation.values())).size == task.observation_size
        observation, reward, terminated, truncated, _ = env.step(random_action(env, rng))
        assert np.isfinite(reward)
        if terminated or truncated:  # InvertedPendulum may fall within five steps
            observation, _ = env.reset()
    assert env.action_space.shape == ((task.action_size,) if task.action == "continuous" else ())
    if task.action == "discrete":
        assert env.action_space.n == task.action_size
    assert env.task is task
    env.close()


@pytest.mark.slow
@pytest.mark.parametrize("name", SIMULATED)
def test_simulations_forget_the_episode_before(name):
    """Meta-World moves bodies of the model; a reset with a seed must not see where they were."""
    fresh, used = make_env(name), make_env(name)
    expected = play(fresh, seed=7, steps=60)
    play(used, seed=3, steps=100, actions=1)
    assert same(expected, play(used, seed=7, steps=60))
    fresh.close(), used.close()
