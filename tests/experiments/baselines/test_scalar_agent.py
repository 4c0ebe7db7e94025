"""An agent of scalars acts: the cache changes nothing, windows move, sampling follows the seed."""

import numpy as np
import pytest
import torch

from jatlab.agents.agent import Agent
from jatlab.experiments.ablations.runs import milliseconds_to_act
from jatlab.experiments.baselines.scalar_agent import ScalarAgent
from jatlab.tasks import make_env
from tests.experiments.baselines.test_scalar_model import REACH, ROOM, untrained


def test_a_timestep_of_a_grid_has_its_mission(tokenizer):
    observation, _ = make_env(ROOM, render_mode=None).reset(seed=0)
    words = len(tokenizer.encode(observation["text_observation"]))
    agent = ScalarAgent(untrained(ROOM, tokenizer, words=words), tokenizer)
    agent.reset(1, ROOM)
    [ids] = agent._ids([observation])
    grid = observation["discrete_observation"]
    assert ids[: len(grid)].tolist() == grid.tolist()
    assert tokenizer.decode(ids[len(grid) : -1]) == observation["text_observation"]
    assert ids[-1] == agent.model.layout.vocab_size - 1


@pytest.mark.parametrize("task, words", [(REACH, 0), (ROOM, 6)])
def test_the_cache_changes_nothing(task, words, tokenizer):
    """Greedy actions with a cache are those of a whole pass over the same tokens.

    Two environments start at different times.
    """
    model = untrained(task, tokenizer, context=4, words=words)
    agent = ScalarAgent(model, tokenizer)
    agent.reset(2, task)
    seen = [[], []]
    envs = [make_env(task, render_mode=None) for _ in range(2)]
    observations = [env.reset(seed=row)[0] for row, env in enumerate(envs)]
    for step in range(4):
        starts = [step == 0, step in (0, 2)]
        actions = agent.act(observations, [0.0, 0.0], starts, greedy=True)
        for row in range(2):
            timestep = whole_timestep(agent, observations[row], actions[row])
            seen[row] = ([] if starts[row] else seen[row]) + [timestep]
            assert_likeliest(model, seen[row])
        observations = [env.step(action)[0] for env, action in zip(envs, actions, strict=True)]


def whole_timestep(agent, observation, action):
    """The tokens of an observation and an action, (K,)."""
    ids = agent.model.layout.action_ids(np.asarray(action)).reshape(-1)
    return torch.cat([agent._ids([observation])[0], torch.from_numpy(ids)])


@torch.no_grad()
def assert_likeliest(model, timesteps):
    """The numbers of the last action are the likeliest ones after these tokens."""
    ids, layout = torch.stack(timesteps)[None], model.layout
    x = model.embed(ids, torch.arange(layout.total)).flatten(1, 2)
    hidden = model.trunk(x, model.masks(len(timesteps)))[0].unflatten(1, (len(timesteps), -1))
    logits = model.head(hidden[0, -1, layout.before - 1 : -1])  # (A, choices)
    taken = layout.to_choices(ids[0, -1, layout.before :])
    assert (logits.gather(1, taken[:, None])[:, 0] >= logits.max(-1).values - 1e-4).all()


def test_a_full_window_moves(tokenizer):
    agent = ScalarAgent(untrained(REACH, tokenizer, context=4), tokenizer)
    agent.reset(1, REACH)
    observation, _ = make_env(REACH, render_mode=None).reset(seed=0)
    times = []
    for _ in range(9):
        agent.act(observation)
        times.append(int(agent.time[0]))
    assert times == [1, 2, 3, 4, 3, 4, 3, 4, 3]


def test_sampling_follows_the_seed(tokenizer):
    agent = ScalarAgent(untrained(REACH, tokenizer), tokenizer)
    observation, _ = make_env(REACH, render_mode=None).reset(seed=0)
    drawn = []
    for seed in (7, 7, 8):
        agent.reset(1, REACH)
        drawn.append(agent.act([observation], starts=[True], seeds=[seed])[0])
    assert (drawn[0] == drawn[1]).all() and (drawn[0] != drawn[2]).any()


def test_it_plays_only_what_it_learnt(tokenizer):
    agent = ScalarAgent(untrained(REACH, tokenizer), tokenizer)
    message = "trained on metaworld-reach and cannot play babyai-go-to-obj"
    with pytest.raises(ValueError, match=message):
        agent.reset(1, ROOM)


def test_acting_is_timed():
    assert 0 < milliseconds_to_act(Agent.untrained("nano"), REACH, decisions=3) < 10_000
