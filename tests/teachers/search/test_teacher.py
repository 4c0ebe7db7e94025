"""The search: better than chance at a tiny budget, calm where nothing is at stake."""

import json
import warnings
from itertools import pairwise

import numpy as np
import pytest

from jatlab.data.recording import measuring
from jatlab.data.recording.playing import EpisodePlayer
from jatlab.tasks import make_env
from jatlab.teachers.search.emulator import Step
from jatlab.teachers.search.settings import SearchSettings
from jatlab.teachers.search.teacher import GRACE, NoRewardInSight, SearchTeacher
from tests.teachers.search.begin import TINY, begin


def play(env, teacher, observation, decisions):
    """Reward of so many decisions, and what was done."""
    total, actions = 0.0, []
    for _ in range(decisions):
        actions.append(teacher.act(observation))
        observation, reward, terminated, truncated, _ = env.step(actions[-1])
        total += reward
        if terminated or truncated:
            break
    return total, actions


def random_reward(name, decisions, seeds):
    totals = []
    for seed in seeds:
        env = make_env(name, render_mode=None)
        env.reset(seed=seed)
        rng, totals = np.random.default_rng(seed), [*totals, 0.0]
        for _ in range(decisions):
            _, reward, terminated, truncated, _ = env.step(int(rng.integers(env.action_space.n)))
            totals[-1] += reward
            if terminated or truncated:
                break
    return totals


DECISIONS = [("atari-mspacman", 120), ("atari-boxing", 100), ("atari-asterix", 100)]


@pytest.mark.slow
@pytest.mark.parametrize("name, decisions", DECISIONS)
def test_it_beats_chance_within_a_few_decisions(name, decisions):
    total, _ = play(*begin(name), decisions)
    assert total > max(random_reward(name, decisions, range(3)))


def test_a_decision_costs_at_most_its_budget():
    env, teacher, observation = begin("atari-seaquest")
    for _ in range(6):
        observation = env.step(teacher.act(observation))[0]
        assert 0 < teacher.simulated <= TINY.budget


@pytest.mark.slow
def test_the_same_seed_makes_the_same_decisions():
    first, again, other = (play(*begin("atari-asterix", seed), 20) for seed in (3, 3, 4))
    assert first == again and first[1] != other[1]


def test_after_another_action_the_plan_is_simulated_again():
    """Recording with noise executes other actions, and sticky actions would."""
    env, teacher, observation = begin("atari-boxing")
    action = teacher.act(observation)
    other = 1 if action != 1 else 2
    observation = env.step(other)[0]
    assert not teacher.emulator.observe().equals(teacher.plan.states[0])  # else nothing was tested
    planned = teacher.plan.actions
    teacher.previous = other
    teacher.simulated = 0
    teacher._follow_game()
    assert teacher.plan.states[0].equals(teacher.emulator.observe())
    assert teacher.plan.actions == planned[: TINY.budget]


class Toy:
    """An emulator of a walk, and the judged game that follows it.

    A state is the actions so far; ``rule(actions)`` gives the step.
    """

    game, actions = "toy", range(4)

    def __init__(self, rule):
        self.rule, self.now, self.real = rule, State(()), State(())

    def watches(self, env):
        return True

    def check(self):
        pass

    def observe(self):
        return self.real

    def restore(self, state):
        self.now = state

    def clone(self):
        return self.now

    def memory(self):
        return np.full(128, len(set(self.now.path)), np.uint8)

    def step(self, action):
        self.now = State((*self.now.path, action))
        return Step(*self.rule(self.now.path))


class State:
    def __init__(self, path):
        self.path = path

    def equals(self, other):
        return self.path == other.path


def walk(rule, decisions=20, **settings):
    """The teacher after so many decisions in a toy game, and what it did."""
    teacher = SearchTeacher(SearchSettings(**{"budget": 60, "alarm": 60, "horizon": 12} | settings))
    teacher.emulator = Toy(rule)
    teacher.reset(None, 0)
    done = []
    for _ in range(decisions):
        done.append(teacher.act({}))
        teacher.emulator.real = State((*teacher.emulator.real.path, done[-1]))
    return teacher, done


def without_reward(path):
    return 0.0, False, False


def test_ties_go_to_the_action_before():
    _, done = walk(without_reward)
    assert done == [0] * 20

    def fifth(path):  # only the fifth action matters
        return float(len(path) == 5 and path[4] == 2), False, False

    _, done = walk(fifth)
    assert done[4] == 2 and len({*done[:4]} | {0}) <= 2 and done[5:] == [2] * 15
    assert sum(a != b for a, b in pairwise([0, *done])) == 1


def test_a_lost_life_is_worse_than_many_rewards():
    """Action 1 pays each time, but the third in a row is deadly."""

    def rule(path):
        dead = path[-3:] == (1, 1, 1)
        return float(path[-1] == 1), dead, dead

    teacher, done = walk(rule, 30, budget=150, alarm=150)
    assert "111" not in "".join(map(str, done)) and done.count(1) > 12


def test_without_a_reward_in_sight_rarer_memory_counts():
    teacher, done = walk(without_reward, 40, patience=10)
    assert teacher.rewardless == 40 and teacher.facts()["blind"] == 1.0
    assert set(done[:10]) == {0} and len(set(done)) > 1


def test_points_at_stake_raise_the_budget_as_a_life_does():
    def penalty(path):
        return -float(len(path) == 10), False, False

    teacher, _ = walk(penalty, 1, horizon=12, budget=20, alarm=90)
    assert teacher.simulated == 90
    teacher, _ = walk(without_reward, 1, horizon=12, budget=20, alarm=90)
    assert teacher.simulated == 20


def test_a_change_that_falls_behind_is_not_simulated_to_its_end():
    def zeros(path):
        return float(path[-1] == 0), False, False

    teacher, _ = walk(zeros, 3, horizon=40, budget=200, alarm=200)
    teacher.simulated = 0
    teacher._extend()
    assert teacher.plan.actions == [0] * 40
    teacher.simulated = 0
    assert not teacher._consider(0, [1] * 40, 40) and teacher.simulated == GRACE
    assert not teacher._consider(10, [1] + [0] * 29, 11) and teacher.simulated == 2 * GRACE


def test_changes_shortly_before_a_loss_come_first():
    """Holding the action is deadly at step 39; one other action at the end is a cheap escape."""

    def rule(path):
        dead = path[-39:] == (0,) * 39
        return float(len(path) == 5), dead, dead

    teacher, done = walk(rule, 1, horizon=40, budget=60, alarm=60)
    assert not teacher.plan.lost and teacher.plan.actions[:30] == [0] * 30 and done == [0]


def test_no_reward_in_sight_is_said(monkeypatch):
    monkeypatch.setattr("jatlab.teachers.search.teacher.DECISIONS_BEFORE_WARNING", 5)
    message = (
        "no reward within 12 decisions in any future simulated in the first 5 decisions"
        ".* larger budget"
    )
    with pytest.warns(NoRewardInSight, match=message):
        walk(without_reward, 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        walk(lambda path: (float(len(path) == 3), False, False), 6)


def test_an_episode_is_recorded_with_pictures_and_bounded(monkeypatch):
    monkeypatch.setattr(SearchTeacher, "max_decisions", 6)
    monkeypatch.setattr("jatlab.data.recording.playing.WATCH_EVERY", 2)
    player, heard = EpisodePlayer("atari-freeway"), []
    player.teacher = SearchTeacher(TINY)
    outcome, episode = player.play(0, timeout=60, watch=heard.append)
    assert outcome.length == 6
    assert episode["image_observations"].shape == (6, 4, 84, 84)
    assert heard[0] == "seed 0: 0 after 2 decisions" and len(heard) == 3
    env = make_env("atari-freeway", render_mode=None)
    pictures = [env.reset(seed=0)[0]["image_observation"]]
    for action in episode["discrete_actions"][:-1]:
        pictures.append(env.step(int(action))[0]["image_observation"])
    assert np.array_equal(np.stack(pictures), episode["image_observations"])


def test_measuring_goes_on_after_a_kill_and_says_the_cost(tmp_path, monkeypatch):
    monkeypatch.setattr(SearchTeacher, "max_decisions", 4)
    playing = "jatlab.data.recording.playing"
    monkeypatch.setattr(f"{playing}.get_teacher", lambda name, who: SearchTeacher(TINY))
    path = str(tmp_path / "scores.json")
    job, reports = measuring.MeasureJob("atari-pong", "search", 2, 2_000_000, 60.0, path), []

    def kill(value):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        measuring.measure_one(job, kill)
    partial = measuring.partial_file(job.path, job.task)
    assert list(json.loads(partial.read_text())["episodes"]) == ["2000000"]
    played, play = [], EpisodePlayer.play

    def counted(self, seed, *arguments, **options):
        played.append(seed)
        return play(self, seed, *arguments, **options)

    monkeypatch.setattr(EpisodePlayer, "play", counted)
    entry = measuring.measure_one(job, reports.append)
    assert played == [2_000_001] and reports == [1, 1]
    assert entry["episodes"] == 2 and entry["length"] == 4
    assert entry["budget"] == 20 and entry["frames_limit"] == 18_000
    assert 0 <= entry["blind"] <= 1 and entry["decisions_per_second"] > 0
    measuring._store(tmp_path / "scores.json", job, entry)
    assert not partial.exists()
