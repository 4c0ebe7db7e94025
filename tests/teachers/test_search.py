"""Atari's look-ahead search: better than chance at a tiny budget, blind to the judged game's
randomness, calm where nothing is at stake.
"""

import copy
import json
import re
import warnings

import numpy as np
import pytest

from jatlab.data.recording import measuring
from jatlab.data.recording.playing import EpisodePlayer
from jatlab.tasks import get_task, make_env, task_scores
from jatlab.tasks.scores import FOLDER
from jatlab.teachers import TeacherFailed, describe, get_teacher
from jatlab.teachers.emulator import Emulator, Step
from jatlab.teachers.listing import format_searches, search_table
from jatlab.teachers.search import (
    GRACE,
    ActionPlan,
    NoRewardInSight,
    SearchSettings,
    SearchTeacher,
    describe_search,
)
from scripts import imitation, teachers
from tests.support import ROOT

TINY = SearchSettings(budget=20, alarm=20, horizon=25)


def begin(name, seed=0, settings=TINY):
    """An environment at its start, its teacher, and the first observation."""
    env, teacher = make_env(name, render_mode=None), SearchTeacher(settings)
    observation, _ = env.reset(seed=seed)
    teacher.reset(env, seed)
    return env, teacher, observation


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


# --- it plays
# ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, decisions", [("atari-mspacman", 120), ("atari-boxing", 100), ("atari-asterix", 100)]
)
def test_it_beats_chance_within_a_few_decisions(name, decisions):
    total, _ = play(*begin(name), decisions)
    assert total > max(random_reward(name, decisions, range(3)))


def test_a_decision_costs_at_most_its_budget():
    env, teacher, observation = begin("atari-seaquest")
    for _ in range(6):
        observation = env.step(teacher.act(observation))[0]
        assert 0 < teacher.simulated <= TINY.budget


def test_the_same_seed_makes_the_same_decisions_and_another_does_not():
    first, again, other = (play(*begin("atari-asterix", seed), 20) for seed in (3, 3, 4))
    assert first == again and first[1] != other[1]


# --- it does not know what a player could not
# ----------------------------------------------------------------------------------


def judged_state(env):
    """All that the judged game consists of: console, random numbers of the emulator and of the
    environment, pictures.
    """
    ale = env.unwrapped.ale
    return (ale.cloneState(include_rng=True).serialize(), copy.deepcopy(env.unwrapped.np_random.bit_generator.state), env.env._stack.tobytes(),
            ale.getScreenRGB().tobytes(), ale.getRAM().tobytes(), ale.getFrameNumber(), ale.lives())  # fmt: skip


def test_a_search_leaves_the_judged_game_bit_for_bit_as_it_was():
    env, teacher, observation = begin("atari-breakout")
    for _ in range(4):
        before = judged_state(env)
        action = teacher.act(observation)
        assert judged_state(env) == before
        observation = env.step(action)[0]
    assert judged_state(env) != before  # what is compared does change when the game goes on


def sticky(seed):
    """A game whose actions stick at random, which the published one's do not, in the state of seed
    7 whatever its own ``seed``.
    """
    model = make_env("atari-seaquest", render_mode=None)
    model.reset(seed=7)
    env = make_env("atari-seaquest", render_mode=None)
    env.unwrapped.ale.setFloat("repeat_action_probability", 0.25)
    observation, _ = env.reset(seed=seed)
    env.unwrapped.ale.restoreState(model.unwrapped.ale.cloneState())
    return env, observation


def test_decisions_do_not_depend_on_the_randomness_to_come():
    """Two judged games in the same state, with different random numbers ahead: the futures differ,
    the decision and its plan do not.
    """
    plans, futures = [], []
    for seed in (1, 2):
        env, observation = sticky(seed)
        teacher = SearchTeacher(TINY)
        teacher.reset(env, 0)
        action = teacher.act(observation)
        plans.append((action, teacher.plan.actions, teacher.plan.rewards))
        futures.append(
            [env.step(i % 18) and env.unwrapped.ale.getRAM().tobytes() for i in range(60)]
        )
    assert futures[0] != futures[1]
    assert plans[0] == plans[1]


def test_the_state_that_the_search_gets_holds_no_random_numbers():
    env, observation = sticky(1)
    emulator = Emulator(env)
    seen = emulator.observe()
    assert seen.serialize() == Emulator(sticky(2)[0]).observe().serialize()
    assert seen.serialize() != env.unwrapped.ale.cloneState(include_rng=True).serialize()


def test_where_something_else_was_done_the_plan_is_simulated_again_from_there():
    """As recording with noise does it, and sticky actions would."""
    env, teacher, observation = begin("atari-boxing")
    action = teacher.act(observation)
    other = 1 if action != 1 else 2
    observation = env.step(other)[0]
    assert not teacher.emulator.observe().equals(teacher.plan.states[0])  # else nothing was tested
    planned = teacher.plan.actions
    teacher.previous = other
    teacher.simulated = 0
    teacher._follow_game()
    assert (
        teacher.plan.states[0].equals(teacher.emulator.observe())
        and teacher.plan.actions == planned[: TINY.budget]
    )


@pytest.mark.parametrize("name", ["atari-breakout", "atari-mspacman", "atari-pong"])
def test_the_simulated_game_is_the_judged_one(name):
    env = make_env(name, render_mode=None)
    env.reset(seed=5)
    emulator, rng = Emulator(env), np.random.default_rng(0)
    emulator.restore(emulator.observe())
    for _ in range(20):
        action = int(rng.integers(env.action_space.n))
        step = emulator.step(action)
        reward = env.step(action)[1]
        if step.lost:
            break
        assert step.reward == reward and emulator.clone().equals(emulator.observe())
        assert np.array_equal(emulator.memory(), env.unwrapped.ale.getRAM())


# --- what is better
# ----------------------------------------------------------------------------------------------------------


class Toy:
    """An emulator of a walk: state = steps taken and actions so far; ``rule(actions)`` gives the
    step. Counts as a judged game that follows.
    """

    actions = range(4)

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


def test_ties_go_to_the_action_before():
    _, done = walk(lambda path: (0.0, False, False))
    assert done == [0] * 20
    _, done = walk(
        lambda path: (1.0 if path[4:5] == (2,) and len(path) == 5 else 0.0, False, False)
    )  # only the fifth action matters
    assert done[4] == 2 and len({*done[:4]} | {0}) <= 2 and done[5:] == [2] * 15
    assert sum(a != b for a, b in zip([0, *done], done)) == 1


def test_a_lost_life_is_worse_than_many_rewards():
    """Action 1 pays each time, but the third in a row is deadly."""

    def rule(path):
        dead = path[-3:] == (1, 1, 1)
        return float(path[-1] == 1), dead, dead

    teacher, done = walk(rule, 30, budget=150, alarm=150)
    assert "111" not in "".join(map(str, done)) and done.count(1) > 12


def test_without_a_reward_in_sight_rarer_memory_counts():
    teacher, done = walk(lambda path: (0.0, False, False), 40, patience=10)
    assert teacher.blind == 40 and teacher.facts()["blind"] == 1.0
    assert set(done[:10]) == {0} and len(set(done)) > 1


def test_points_at_stake_raise_the_budget_as_a_life_does():
    teacher, _ = walk(
        lambda path: (-1.0 if len(path) == 10 else 0.0, False, False),
        1,
        horizon=12,
        budget=20,
        alarm=90,
    )
    assert teacher.simulated == 90
    teacher, _ = walk(lambda path: (0.0, False, False), 1, horizon=12, budget=20, alarm=90)
    assert teacher.simulated == 20


def test_a_change_that_falls_behind_is_not_simulated_to_its_end():
    teacher, _ = walk(
        lambda path: (float(path[-1] == 0), False, False), 3, horizon=40, budget=200, alarm=200
    )
    teacher.simulated = 0
    teacher._extend()
    assert teacher.plan.actions == [0] * 40
    teacher.simulated = 0
    assert not teacher._consider(0, [1] * 40, 40) and teacher.simulated == GRACE
    assert not teacher._consider(10, [1] + [0] * 29, 11) and teacher.simulated == 2 * GRACE


def test_changes_shortly_before_a_loss_come_first():
    """Holding the action is deadly at step 39; one other action at the end is the escape, and costs
    no more than a few steps.
    """

    def rule(path):
        return float(len(path) == 5), path[-39:] == (0,) * 39, path[-39:] == (0,) * 39

    teacher, done = walk(rule, 1, horizon=40, budget=60, alarm=60)
    assert not teacher.plan.lost and teacher.plan.actions[:30] == [0] * 30 and done == [0]


def test_no_reward_in_sight_is_said(monkeypatch):
    monkeypatch.setattr("jatlab.teachers.search.BLIND", 5)
    with pytest.warns(
        NoRewardInSight,
        match="no reward within 12 decisions in any future simulated in the first 5 decisions.* larger budget",
    ):
        walk(lambda path: (0.0, False, False), 6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        walk(lambda path: (float(len(path) == 3), False, False), 6)


def test_a_plan_is_cut_and_shifted():
    plan = ActionPlan(list("abcd"), [1, 1, 2], [0.0, 1.0, 2.0], [None] * 3, True, True)
    assert plan.head(2).states == list("abc") and not plan.head(2).lost and plan.head(3).lost
    assert plan.rest().actions == [1, 2] and plan.rest().states == list("bcd") and plan.rest().over
    assert plan.changes(1) == 1 and plan.changes(0) == 2
    assert plan.loss() == 2 and plan.head(2).loss() is None
    assert ActionPlan(list("abcd"), [1, 1, 2], [0.0, -1.0, 2.0], [None] * 3).loss() == 1
    assert plan.head(1).followed_by(plan.rest()) == plan


# --- beside the other teachers
# -----------------------------------------------------------------------------------------------


def test_an_episode_is_recorded_with_the_agents_pictures_and_bounded(monkeypatch):
    monkeypatch.setattr(SearchTeacher, "max_decisions", 6)
    monkeypatch.setattr("jatlab.data.recording.playing.WATCH_EVERY", 2)
    player, heard = EpisodePlayer("atari-freeway"), []
    player.teacher = SearchTeacher(TINY)
    outcome, episode = player.play(0, timeout=60, watch=heard.append)
    assert (
        outcome.length == 6
        and episode["image_observations"].shape == (6, 4, 84, 84)
        and heard[0] == "seed 0: 0 after 2 decisions"
        and len(heard) == 3
    )
    env = make_env("atari-freeway", render_mode=None)
    observations = [env.reset(seed=0)[0]] + [
        env.step(int(action))[0] for action in episode["discrete_actions"][:-1]
    ]
    assert np.array_equal(
        np.stack([o["image_observation"] for o in observations]), episode["image_observations"]
    )


def test_measuring_goes_on_after_a_kill_and_says_what_searching_cost(tmp_path, monkeypatch):
    monkeypatch.setattr(SearchTeacher, "max_decisions", 4)
    monkeypatch.setattr(
        "jatlab.data.recording.playing.get_teacher", lambda name, who: SearchTeacher(TINY)
    )
    job, reports = (
        measuring.MeasureJob(
            "atari-pong", "search", 2, 2_000_000, 60.0, str(tmp_path / "scores.json")
        ),
        [],
    )
    with pytest.raises(KeyboardInterrupt):
        measuring.measure_one(job, lambda value: (_ for _ in ()).throw(KeyboardInterrupt))
    partial = measuring.partial_file(job.path, job.task)
    assert list(json.loads(partial.read_text())["episodes"]) == ["2000000"]
    plays = []
    monkeypatch.setattr(
        EpisodePlayer,
        "play",
        (lambda play: lambda self, seed, *a, **k: plays.append(seed) or play(self, seed, *a, **k))(
            EpisodePlayer.play
        ),
    )
    entry = measuring.measure_one(job, reports.append)
    assert (
        plays == [2_000_001]
        and reports == [1, 1]
        and entry["episodes"] == 2
        and entry["length"] == 4
    )
    assert (
        entry["budget"] == 20
        and entry["frames_limit"] == 18_000
        and 0 <= entry["blind"] <= 1
        and entry["decisions_per_second"] > 0
    )
    measuring._store(tmp_path / "scores.json", job, entry)
    assert not partial.exists()


def test_who_teaches_atari_is_said_with_budget_and_limit():
    assert isinstance(get_teacher("atari-alien"), SearchTeacher) and isinstance(
        get_teacher("atari-pong", "search"), SearchTeacher
    )
    assert describe("atari-pong", "search") == describe("atari-alien") == describe_search()
    with pytest.raises(ValueError, match="look-ahead search plays Atari games, not mujoco-ant"):
        get_teacher("mujoco-ant", "search")
    words = describe("atari-montezumarevenge")
    assert (
        f"{SearchSettings().budget} simulated steps a decision" in words
        and "18,000 frames" in words
    )


def test_the_table_sets_a_measured_search_beside_human_and_expert(tmp_path, monkeypatch):
    entry = {
        "mean": 20.5,
        "std": 0.5,
        "episodes": 3,
        "seeds": [2_000_000, 2_000_002],
        "budget": 20,
        "simulated": 19.5,
        "frames_limit": 18_000,
        "blind": 0.1,
        "decisions_per_second": 21.3,
    }
    for file, content in (
        (
            "measured_scores.json",
            {
                "atari-pong": {"search": entry, "teacher": {"mean": 19.0}},
                "atari-alien": {"search": entry},
            },
        ),
        ("published_scores.json", json.loads((FOLDER / "published_scores.json").read_text())),
    ):
        (tmp_path / file).write_text(json.dumps(content))
    monkeypatch.setattr("jatlab.tasks.scores.FOLDER", tmp_path)
    [row] = search_table(["atari-pong", "atari-boxing"])
    assert (task_scores("atari-pong").teacher.mean, task_scores("atari-alien").teacher.mean) == (
        19.0,
        20.5,
    )  # where nobody else teaches, the search does
    assert (
        row["teacher"] == 20.5
        and row["human_share"]
        == pytest.approx((20.5 - row["random"]) / (row["human"] - row["random"]))
        and row["budget"] == 20
    )
    text = format_searches(["atari-pong", "atari-boxing"])
    assert (
        "20 simulated steps" in text
        and "18,000 frames" in text
        and "Above the human on 1 of 1 games" in text
        and "21.3" in text
    )
    assert format_searches(["atari-boxing"]) == ""


def test_the_games_to_measure_are_said_beforehand():
    games = dict(
        re.findall(
            r'^(learnt|others)="(.*)"$', (ROOT / "scripts" / "search.sh").read_text(), re.MULTILINE
        )
    )
    learnt, others = games["learnt"].split(), games["others"].split()
    assert set(learnt) == {
        "pong",
        "boxing",
        "breakout",
        "freeway",
        "qbert",
        "mspacman",
        "seaquest",
        "spaceinvaders",
    }
    assert len({*learnt, *others}) == len(learnt) + len(others) == 27
    assert all(get_task(f"atari-{game}").domain == "atari" for game in (*learnt, *others))
    assert {f"atari-{game}" for game in learnt} == set(imitation.mini.GAMES)


def test_the_readme_table_has_a_line_a_game_and_counts_who_is_beaten():
    row = {
        "task": "atari-pong",
        "teacher": 20.5,
        "std": 0.5,
        "episodes": 3,
        "random": -20.7,
        "human": 14.6,
        "jat": 16.5,
        "expert": 21.0,
        "human_share": 1.17,
        "expert_share": None,
        "budget": 240,
        "frames_limit": 18_000,
        "simulated": 66.5,
        "decisions_per_second": 51.5,
    }
    text = teachers.table([row, row | {"task": "atari-hero", "teacher": 12_345.0, "jat": 12_346.0}])
    assert (
        "2 games: above the published human on 2, above the published JAT on 1" in text
        and "at most 240 simulated steps" in text
    )
    assert (
        "| pong | **20.5** ± 0.5 | 3 | -20.7 | 14.6 | 16.5 | 21.0 | 1.17 | – | 66 | 52 |" in text
        and "| hero | **12,345** " in text
    )


# --- bad input
# -----------------------------------------------------------------------------------------------------------------


def test_a_state_that_cannot_be_restored_is_said(monkeypatch):
    env, teacher, _ = begin("atari-pong")
    monkeypatch.setattr(Emulator, "restore", lambda self, state: None)
    env.step(2)
    with pytest.raises(TeacherFailed, match="pong: the emulator's state cannot be restored"):
        teacher.reset(env, 0)

    def fail(self, state):
        raise RuntimeError("end of file")

    monkeypatch.setattr(Emulator, "restore", fail)
    with pytest.raises(TeacherFailed, match="cannot be restored \\(end of file\\)"):
        teacher.reset(env, 0)


def test_an_environment_without_an_emulator_is_refused():
    with pytest.raises(ValueError, match="play games of the Arcade Learning Environment"):
        SearchTeacher().reset(make_env("babyai-go-to-obj", render_mode=None), 0)


@pytest.mark.parametrize(
    "change, message",
    [
        (
            {"budget": 501},
            "from 1 to 500 simulated steps a decision, alarm not below budget; got 501 and ",
        ),
        ({"horizon": 0}, "at least 1 step, got 0"),
        ({"discount": 1.5}, "at most 1, got 1.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        SearchSettings(**change)
