"""An episode that is watched: what is kept of it, and that nobody else is disturbed."""

import numpy as np
import pytest

from jatlab.agents.rollout import rollout
from jatlab.tasks import make_env
from jatlab.viz.player.app import Player
from jatlab.viz.player.watching import Watch
from tests.support.little_tasks import GRID, PUSH


def test_whoever_plays_with_the_same_agent_is_not_disturbed(agent):
    env = make_env(PUSH)
    undisturbed = rollout(agent, env, seed=3)["continuous_actions"]
    agent.reset(1, PUSH)
    observation, _ = env.reset(seed=3)
    with Player(agent, PUSH) as player:
        mine = [agent.act(observation)]
        player.advance(2)
        observation, reward, *_ = env.step(mine[0])
        mine.append(agent.act(observation, reward))
    env.close()
    np.testing.assert_allclose(mine, undisturbed[:2], atol=1e-6)
    assert not agent.record_attention


def test_what_is_shown_is_the_share_of_the_action_taken(agent):
    watch = Watch(agent, GRID, seed=2)
    for _ in range(4):
        watch.step()
    moment = watch.moments[-1]
    assert list(moment.context) == [1, 2, 4]
    shares = {name: share for name, share, chosen in moment.facts.bars if chosen}
    assert all(0 < value < 1 for value in moment.context.values()) and len(shares) == 1
    watch.close()


def test_a_full_memory_is_kept_by_both_policies(agent):
    for policy in ("recompute", "published"):
        watch = Watch(agent, GRID, context=3, policy=policy)
        while watch.open:
            watch.step()
        remembered = [moment.attention.shape[-1] for moment in list(watch.moments)[:-1]]
        assert watch.length == 12 and max(remembered) <= 2 * 3 + 3


def test_grids_are_drawn_in_the_size_that_is_shown(agent):
    for task, cells in (("babyai-go-to-obj", 8), ("babyai-go-to", 22)):
        watch = Watch(agent, task)
        height = watch.env.unwrapped.height
        assert height == cells and watch.env.render().shape[0] in range(320, 320 + cells)
        assert watch.moments[0].frame.shape == (320, 320, 3)
        watch.close()


def test_an_in_context_agent_is_told_where_it_can_be_watched(agent):
    agent.settings = agent.settings.replace(retrieved=4)
    with pytest.raises(ValueError, match="in-context agent.*play AGENT TASK --demonstrations"):
        Player(agent, PUSH)
