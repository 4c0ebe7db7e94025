"""The simulations that searches use are the environments."""

import numpy as np
import pytest

from jatlab.data.recording.playing import EpisodePlayer
from jatlab.tasks import make_env
from jatlab.teachers.console import ConsoleGame
from jatlab.teachers.controller import load_controller
from jatlab.teachers.fitting.simulation import Simulation, make_simulation, play

BONUS = {"mujoco-hopper": 1.0, "mujoco-ant": 0.0, "mujoco-humanoid": 0.0, "mujoco-reacher": 0.0}


@pytest.mark.parametrize("name, bonus", BONUS.items())
def test_the_simulation_gives_the_environments_numbers(name, bonus):
    env, simulation = make_env(name, render_mode=None), Simulation(name, alive_bonus=bonus)
    rng, (observation, _) = np.random.default_rng(0), env.reset(seed=7)
    assert np.array_equal(simulation.reset(7), observation["continuous_observation"])
    for _ in range(60):
        action = rng.uniform(-1, 1, len(simulation.limit)).astype(np.float32) * simulation.limit
        observation, reward, terminated, truncated, _ = env.step(action)
        seen, seen_reward, *ends = simulation.step(action)
        assert np.array_equal(seen, observation["continuous_observation"])
        assert ends == [terminated, truncated]
        assert seen_reward == pytest.approx(reward - bonus, abs=1e-12)
        if terminated or truncated:
            break


def test_a_simulation_goes_on_from_its_state():
    first, second = Simulation("mujoco-halfcheetah"), Simulation("mujoco-halfcheetah")
    actions = np.random.default_rng(0).uniform(-1, 1, (80, 6)).astype(np.float32)
    first.reset(3)
    for action in actions[:40]:
        first.step(action)
    second.restore(first.state())
    for action in actions[40:]:
        (observation, *rest), (again, *rest_again) = first.step(action), second.step(action)
        assert np.array_equal(observation, again) and rest == rest_again
    assert second.elapsed == 80


def test_playing_a_seed_gives_the_measured_return():
    controller = load_controller("mujoco-reacher")
    total, length = play(Simulation("mujoco-reacher"), controller, 5)
    outcome = EpisodePlayer("mujoco-reacher").play(5, timeout=30)[0]
    assert length == outcome.length and total == pytest.approx(outcome.total, abs=1e-9)


def test_games_and_mujoco_tasks_have_their_simulations():
    assert isinstance(make_simulation("atari-pong", learning=True), ConsoleGame)
    assert not hasattr(make_simulation("mujoco-pendulum"), "actions")
