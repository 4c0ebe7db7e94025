"""The value of context: what an agent would do if it remembered less."""

import numpy as np
import pytest

from jatlab.agents.rollout import rollout
from jatlab.tasks import make_env
from jatlab.viz.context import ContextProbe, value_of_context
from tests.support import little_tasks
from tests.support.little_tasks import GAME, GRID, MISSION, PUSH


@pytest.fixture(autouse=True)
def nothing_is_left():
    with little_tasks.nothing_left():
        yield


@pytest.mark.parametrize(
    "task, hidden", [(GRID, False), (GRID, True), (PUSH, False), (PUSH, True), (GAME, False)]
)
def test_all_of_the_past_or_one_timestep_give_known_answers(task, hidden):
    """All of it: what the agent did. One timestep: what it would do at the start."""
    agent, env = little_tasks.make_agent(hide_past_actions=hidden), make_env(task)
    episode = rollout(agent, env, seed=5, max_steps=8, record_predictions=True)
    discrete = env.task.action == "discrete"
    did = episode["probabilities"] if discrete else episode["continuous_actions"]
    answers = value_of_context(agent, episode, (1, 3, 8))
    np.testing.assert_allclose(answers[8], did, atol=1e-5)
    np.testing.assert_allclose(answers[3][:3], did[:3], atol=1e-5)
    assert np.abs(answers[3][3:] - did[3:]).max() > 1e-4
    key = f"{env.task.observation}_observation"
    agent.reset(1, task)
    observation = {key: episode[f"{key}s"][5], "text_observation": MISSION}
    probe = ContextProbe(agent, (1,))
    probe.add(observation, 0.0)
    action = agent.act(observation, greedy=True)
    expected = agent.last.probabilities[0] if discrete else action
    np.testing.assert_allclose(probe.ask()[1], expected, atol=1e-5)
    env.close()


def test_lengths_beyond_the_positions_are_an_error():
    agent = little_tasks.make_agent()
    agent.reset(1, PUSH)
    with pytest.raises(ValueError, match="from 1 to 8"):
        ContextProbe(agent, (4, 9))
