"""Policies of the console's memory: the game, episodes by life, the controllers that ship."""

import numpy as np
import pytest

from jatlab.experiments.recipes.mini import GAMES
from jatlab.tasks import get_task, make_env, task_scores
from jatlab.teachers import describe, get_teacher
from jatlab.teachers.console import ConsoleGame, ConsoleTeacher, sense
from jatlab.teachers.controller import load_controller


def test_sensed_are_the_memory_and_its_change():
    now, before = np.array([3, 0, 255], np.uint8), np.array([1, 2, 0], np.uint8)
    assert sense(now, before).tolist() == [3, 0, 255, 2, -2, 255]


@pytest.mark.slow
@pytest.mark.parametrize("task", ["atari-breakout", "atari-seaquest"])
def test_without_pictures_the_game_is_the_same(task):
    game, env, rng = ConsoleGame(task), make_env(task, render_mode=None), np.random.default_rng(0)
    for seed in (5, 6):
        env.reset(seed=seed)
        seen, over, t = game.reset(seed), False, 0
        while not over and t < 500:
            assert np.array_equal(seen[:128], env.unwrapped.ale.getRAM())
            action = int(rng.integers(game.actions))
            _, reward, over, _, _ = env.step(action)
            seen, own_reward, own_over, _ = game.step(action)
            t += 1
            assert (reward, over) == (own_reward, own_over)
        assert over


def test_a_life_is_an_episode_for_learning_and_rewards_are_signs():
    game = ConsoleGame("atari-breakout", by_life=True)
    rewards, lives = set(), []
    for seed in range(7):
        game.reset(seed)
        lives.append(game._ale.lives())
        over = False
        while not over:
            _, reward, over, _ = game.step(2 + game.elapsed // 7 % 2)
            rewards.add(reward)
    assert lives == [5, 4, 3, 2, 1, 5, 4] and rewards <= {0.0, 1.0} and 1.0 in rewards


def test_what_was_never_seen_is_rewarded_less_and_less():
    game = ConsoleGame("atari-freeway", by_life=True, novelty=0.01)
    first = game.step(0)[1]
    assert first == pytest.approx(0.01 * 128)  # nothing was seen before
    later = [game.step(0)[1] for _ in range(200)]
    assert 0 < later[-1] < first / 10
    before = game._visits.sum()
    other = ConsoleGame("atari-freeway", by_life=True, novelty=0.01)
    other.restore(game.state())
    assert before == other._visits.sum() == 201 * 128 and other.step(1)[1] == game.step(1)[1]


def test_an_episode_ends_where_the_searchs_does(monkeypatch):
    monkeypatch.setattr("jatlab.teachers.console.DECISIONS", 3)
    game = ConsoleGame("atari-pong")
    assert [game.step(0)[3] for _ in range(3)] == [False, False, True]


def test_going_on_from_a_state():
    game, other = ConsoleGame("atari-pong", by_life=True), ConsoleGame("atari-pong", by_life=True)
    for _ in range(50):
        game.step(2)
    other.restore(game.state())
    assert np.array_equal(other.observation, game.observation) and other.elapsed == 50
    for action in [3] * 40:
        (seen, *facts), (own, *own_facts) = game.step(action), other.step(action)
        assert np.array_equal(seen, own) and facts == own_facts


def test_other_environments_are_refused():
    teacher = ConsoleTeacher(load_controller("atari-pong"))
    message = "Atari's teachers play games of the Arcade Learning Environment"
    with pytest.raises(ValueError, match=message):
        teacher.reset(make_env("babyai-go-to-obj", render_mode=None))


@pytest.mark.slow
@pytest.mark.parametrize("task", GAMES)
def test_the_shipped_controllers_play_as_measured(task):
    """One episode, above a quarter of the way from random to what was measured over thirty."""
    env, teacher = make_env(task, render_mode=None, pictures=False), get_teacher(task)
    assert isinstance(teacher, ConsoleTeacher)
    assert describe(task).startswith("proximal policy optimisation")
    scores, total, done, t = task_scores(task), 0.0, False, 0
    observation, _ = env.reset(seed=3)
    teacher.reset(env, 3)
    while not done and t < teacher.max_decisions:
        action = teacher.act(observation)
        assert 0 <= action < get_task(task).action_size
        observation, reward, terminated, truncated, _ = env.step(action)
        total, done, t = total + reward, terminated or truncated, t + 1
    assert total > scores.random.mean + (scores.teacher.mean - scores.random.mean) / 4
