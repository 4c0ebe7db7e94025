"""Episodes of the little tasks, with everything recorded."""

import pytest

from jatlab.agents.rollout import rollout
from jatlab.tasks import make_env
from tests.support import little_tasks


@pytest.fixture(scope="session")
def agent():
    return little_tasks.make_agent()


@pytest.fixture
def played(agent):
    """Plays a task's episode of seed 7."""

    def play(task, **choices):
        env = make_env(task)
        keep = dict(render=True, record_attention=True, record_predictions=True)
        episode = rollout(agent, env, 7, **keep | choices)
        env.close()
        return episode

    return play
