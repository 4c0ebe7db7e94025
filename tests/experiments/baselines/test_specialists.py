"""Specialists: shapes, memory, what they learn, and how they act."""

import numpy as np
import pytest
import torch

from jatlab.data.windows import open_source
from jatlab.experiments.baselines.specialist_agent import (
    SpecialistAgent,
    imitation_loss,
    specialist,
    text_loss,
    train_specialist,
)
from jatlab.experiments.baselines.specialists import FilmGru, Perceptron, TextLstm
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task, make_env
from jatlab.training.recipe import TrainConfig
from tests.support.language_data import documents, write_texts
from tests.support.synthetic import write_task

ROOM, PENDULUM, PONG = "babyai-go-to-obj", "mujoco-pendulum", "atari-pong"
NANO = JatConfig.preset("nano")


def film(tokenizer):
    torch.manual_seed(0)
    return FilmGru(get_task(ROOM), tokenizer.vocab_size, tokenizer.pad_id).eval()


def grids(batch, timesteps, seed=0):
    """Grids with missions of three words and padding, (batch, timesteps, 148 + 9)."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 4, (batch, timesteps, 148))
    mission = np.pad(rng.integers(5, 90, (batch, 1, 3)), ((0, 0), (0, 0), (0, 6)))
    return torch.from_numpy(np.concatenate([values, mission.repeat(timesteps, 1)], axis=-1))


@torch.no_grad()
def test_a_remembering_network_step_by_step_equals_one_pass(tokenizer):
    model, seen = film(tokenizer), grids(2, 5)
    whole, _ = model(seen)
    state, steps = None, []
    for time in range(5):
        output, state = model(seen[:, time : time + 1], state)
        steps.append(output)
    assert whole.shape == (2, 5, 7)
    torch.testing.assert_close(torch.cat(steps, 1), whole, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_padding_behind_a_mission_changes_nothing(tokenizer):
    model, seen = film(tokenizer), grids(2, 1)
    seen[..., 148 + 3 :] = model.pad_id
    torch.testing.assert_close(model(seen)[0], model(seen[..., : 148 + 3])[0])


@torch.no_grad()
def test_vectors_are_normalised_by_the_demonstrations():
    rng = np.random.default_rng(0)
    task, values = get_task(PENDULUM), rng.normal(7, 100, (500, 4)).astype(np.float32)
    values[:, 2] = 3.0  # a number that never changes
    model = Perceptron(task, values)
    inputs = []
    model.layers.register_forward_pre_hook(lambda _, given: inputs.append(given[0]))
    model(torch.from_numpy(values)[None])
    mean, spread = inputs[0].mean((0, 1)), inputs[0].std((0, 1))
    np.testing.assert_allclose(mean, 0, atol=1e-3)
    np.testing.assert_allclose(spread, [1, 1, 0, 1], atol=1e-2)


@pytest.mark.parametrize("name", [ROOM, PENDULUM, PONG])
def test_a_specialist_learns_what_it_is_shown_and_acts(name, tmp_path, tokenizer):
    write_task(tmp_path, name, [8] * 6)
    recipe = TrainConfig(
        data=str(tmp_path), tasks=[name], steps=15, batch_timesteps=48, precision="fp32", lr=3e-3
    )
    source = open_source(name, tmp_path, NANO, tokenizer)
    batch = source.batch(source.windows(np.random.default_rng(0)))
    torch.manual_seed(0)
    before = imitation_loss(specialist(get_task(name), NANO, tokenizer, source), batch).item()
    agent = train_specialist(recipe)
    assert imitation_loss(agent.model, batch).item() < 0.8 * before
    assert agent.info["step"] == 15 and agent.info["timesteps"] == 15 * 48
    env = make_env(name, render_mode=None)
    agent.reset(2, name)
    observations = [env.reset(seed=seed)[0] for seed in range(2)]
    for action in agent.act(observations, [0, 0], [True, True], seeds=[1, 2]):
        env.step(action)
    env.close()


def test_an_episode_that_begins_forgets_the_last_one(tokenizer):
    agent = SpecialistAgent(film(tokenizer), get_task(ROOM), tokenizer, 9)
    env = make_env(ROOM, render_mode=None)
    first, _ = env.reset(seed=0)
    agent.reset(2, ROOM)
    agent.act([first, first], [0, 0], [True, True])
    agent.act([first, first], [0, 0], [True, False])
    fresh = SpecialistAgent(agent.model, agent.task, tokenizer, 9)
    fresh.reset(1, ROOM)
    fresh.act([first], [0], [True])
    torch.testing.assert_close(agent.state[:, :1], fresh.state)
    assert not torch.allclose(agent.state[:, 1:], fresh.state)


def test_the_same_seed_draws_the_same_actions(tokenizer):
    drawn = []
    for _ in range(2):
        agent = SpecialistAgent(film(tokenizer), get_task(ROOM), tokenizer, 9)
        agent.reset(1, ROOM)
        observation, _ = make_env(ROOM, render_mode=None).reset(seed=0)
        starts = [[step == 0] for step in range(20)]
        drawn.append([agent.act([observation], [0], one, seeds=[5])[0] for one in starts])
    assert drawn[0] == drawn[1] and len(set(drawn[0])) > 1
    agent.reset(1, ROOM)
    greedy = {agent.act([observation], [0], [True], greedy=True)[0] for _ in range(3)}
    assert len(greedy) == 1


def test_other_tasks_are_refused(tokenizer):
    agent = SpecialistAgent(film(tokenizer), get_task(ROOM), tokenizer)
    with pytest.raises(ValueError, match="trained on babyai-go-to-obj and cannot play"):
        agent.reset(1, PONG)
    with pytest.raises(ValueError, match="a specialist trains on one task"):
        train_specialist(TrainConfig(tasks=[ROOM, PONG], steps=1))
    with pytest.raises(ValueError, match="picture: no specialist"):
        specialist(get_task("minigrid-captions"), NANO, tokenizer, None)


def test_an_lstm_learns_a_text(tmp_path, tokenizer):
    write_texts(tmp_path, "python-docs", documents(30))
    source = open_source("python-docs", tmp_path, NANO, tokenizer)
    batch = source.batch(source.windows(np.random.default_rng(0))[:4])
    torch.manual_seed(0)
    before = text_loss(TextLstm(NANO), batch).item()
    recipe = TrainConfig(
        data=str(tmp_path), tasks=["python-docs"], steps=15, lr=3e-3, precision="fp32"
    )
    agent = train_specialist(recipe)
    assert before > 6 and text_loss(agent.model, batch).item() < before - 0.5
