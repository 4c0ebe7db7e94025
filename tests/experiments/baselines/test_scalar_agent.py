"""A token for each number: what a timestep becomes, who sees whom, and that acting with a cache is
what training saw.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch

from jatlab.data.windows import open_source
from jatlab.experiments.ablations import runs as ablation_runs
from jatlab.experiments.ablations.runs import Variant, milliseconds_to_act, recipe, run_point
from jatlab.experiments.baselines import gato_tokens as gato
from jatlab.experiments.baselines.scalar_agent import (
    Layout,
    ScalarAgent,
    ScalarModel,
    batch_loss,
    train_scalar,
)
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import get_task, make_env

REACH, ROOM = "metaworld-reach", "babyai-go-to-obj"
TINY = {"hidden_size": 16, "num_heads": 2, "attention_types": [[["global"], 2]], "num_layers": 2}


@pytest.fixture(scope="module")
def tokenizer():
    return TextTokenizer.load()


def untrained(task, tokenizer, context=3, words=0):
    torch.manual_seed(0)
    layout = Layout(get_task(task), tokenizer, words)
    return ScalarModel(
        JatConfig.preset("nano", **TINY, max_position_embeddings=context * layout.total), layout
    ).eval()


def test_a_timestep_of_an_arm_is_gatos(tokenizer):
    layout, rng = Layout(get_task(REACH), tokenizer), np.random.default_rng(0)
    observation, action = rng.normal(size=(1, 39)), rng.uniform(-1, 1, (1, 4))
    theirs = gato.tokenize_episode(
        {"continuous_observations": observation, "continuous_actions": action}
    ).ids
    ours = np.concatenate(
        [layout.observation_ids(observation), layout.action_ids(action)], axis=-1
    )[0]
    assert (layout.total, layout.before, layout.actions) == (44, 40, 4)
    np.testing.assert_array_equal(ours - layout.first_bin, theirs - gato.TEXT_IDS)
    ids, executed = layout.from_choices(layout.answers(layout.action_ids(action)))
    np.testing.assert_array_equal(ids, layout.action_ids(action))
    assert np.abs(executed - action).max() <= 1 / gato.BINS


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


def test_frames_have_no_scalars(tokenizer):
    with pytest.raises(ValueError, match="needs vectors or grids"):
        Layout(get_task("atari-pong"), tokenizer)


def test_positions_must_hold_two_timesteps(tokenizer):
    with pytest.raises(ValueError, match="hold 1 timesteps of 44 tokens"):
        untrained(REACH, tokenizer, context=1)


def influence(model, place):
    """Which tokens (T, K) move when the token ``place`` (t, k) is another: the model's hidden
    states, compared.
    """
    layout, steps = model.layout, 3
    ids = torch.randint(
        0, layout.vocab_size, (1, steps, layout.total), generator=torch.Generator().manual_seed(1)
    )
    other = ids.clone()
    other[0][place] = (other[0][place] + 1) % layout.vocab_size
    masks = model._masks(steps, None)
    hidden = [
        model.trunk(model.embed(x, torch.arange(layout.total)).flatten(1, 2), masks)[0][0]
        for x in (ids, other)
    ]
    return (hidden[0] != hidden[1]).any(-1).view(steps, layout.total)


def test_an_observation_is_seen_by_all_that_comes_later(tokenizer):
    moved = influence(untrained(REACH, tokenizer), (1, 5))
    assert not moved[0].any() and not moved[1, :5].any() and moved[1, 5:].all() and moved[2].all()


def test_an_action_is_seen_within_its_timestep_alone(tokenizer):
    moved = influence(untrained(REACH, tokenizer), (1, 41))
    assert moved[1, 41:].all() and moved.sum() == 3


@pytest.mark.parametrize("task, words", [(REACH, 0), (ROOM, 6)])
def test_the_cache_changes_nothing(task, words, tokenizer):
    """Greedy actions with a cache, in two environments that start at different times, are those of
    a whole pass over the same tokens.
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
            seen[row] = ([] if starts[row] else seen[row]) + [
                whole_timestep(agent, observations[row], actions[row])
            ]
            assert_likeliest(model, seen[row])
        observations = [env.step(action)[0] for env, action in zip(envs, actions)]


def whole_timestep(agent, observation, action):
    return torch.cat(
        [
            agent._ids([observation])[0],
            torch.from_numpy(agent.model.layout.action_ids(np.asarray(action)).reshape(-1)),
        ]
    )


@torch.no_grad()
def assert_likeliest(model, timesteps):
    ids, layout = torch.stack(timesteps)[None], model.layout
    x = model.embed(ids, torch.arange(layout.total)).flatten(1, 2)
    hidden = model.trunk(x, model._masks(len(timesteps), None))[0].unflatten(
        1, (len(timesteps), -1)
    )
    logits = model.head(hidden[0, -1, layout.before - 1 : -1])  # (A, choices)
    taken = torch.from_numpy(layout.answers(ids[0, -1, layout.before :].numpy()))
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
    with pytest.raises(
        ValueError, match="trained on metaworld-reach and cannot play babyai-go-to-obj"
    ):
        agent.reset(1, ROOM)


def test_training_lowers_the_loss_and_the_run_says_what_it_cost(tmp_path, monkeypatch):
    monkeypatch.setitem(ablation_runs.RECORDINGS, REACH, (4, 0.0))
    variant = Variant(
        "scalar", (REACH,), token="scalar", steps=2, model=TINY | {"max_position_embeddings": 128}
    )
    run = run_point(variant, episodes=1, data=tmp_path)
    assert (
        run["steps"] == 2
        and 0 < run["timesteps"] <= 2 * ablation_runs.SCALAR_BATCH
        and run["act_milliseconds"] > 0
    )
    agents = [
        train_scalar(recipe(replace(variant, steps=steps), 0, tmp_path, "")) for steps in (1, 30)
    ]
    source = open_source(
        REACH, tmp_path, agents[0].model.config, agents[0].tokenizer, agents[0].model.context
    )
    batch = source.batch(source.windows(np.random.default_rng(0)))
    before, after = (batch_loss(agent.model, batch, bf16=False).item() for agent in agents)
    assert before > 6 and after < before - 1  # nats; guessing among 1,024 bins costs 6.9


def test_acting_is_timed():
    from jatlab.agents.agent import Agent

    assert 0 < milliseconds_to_act(Agent.untrained("nano"), REACH, decisions=3) < 10_000
