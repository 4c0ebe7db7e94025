"""Seeds, lockstep, resuming: with environments and agents whose returns tell what happened."""

import json
import os
import signal
import subprocess
import sys
import time

import gymnasium as gym
import numpy as np
import pytest

from jatlab.evaluation.evaluate import (
    FIRST_SEED,
    EpisodeVideo,
    PlaySettings,
    evaluate,
    expected_seconds,
    identity,
    lockstep,
    play_task,
)
from jatlab.tasks import Task, get_task, register, task_names
from tests.support import ROOT
from tests.support.helpers import group_is_alive, wait_for

TASK = "evaluation-seeds"
register(
    Task(TASK, "evaluation", "Seeds-v0", None, "continuous", 2, "discrete", 2),
    lambda task, render_mode=None: SeedEnv(),
)


class SeedEnv(gym.Env):
    """An episode of seed s lasts 1 + s % 5 steps and pays s % 1000 at its end, plus a hundredth for
    every action 1.
    """

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Discrete(2)
    resets, closed, alive = [], 0, 0

    def __init__(self):
        SeedEnv.alive += 1

    def _observation(self):
        return {"continuous_observation": np.array([self.seed % 1000, self.time], np.float32)}

    def reset(self, *, seed=None, options=None):
        SeedEnv.resets.append(seed)
        self.seed, self.time = seed, 0
        return self._observation(), {}

    def step(self, action):
        self.time += 1
        done = self.time == 1 + self.seed % 5
        reward = 0.01 * action + (self.seed % 1000 if done else 0)
        return (
            self._observation(),
            reward,
            done and self.seed % 2 == 0,
            done and self.seed % 2 == 1,
            {"success": self.seed % 3 == 0} if done else {},
        )

    def render(self):
        return np.full((8, 8, 3), min(255, self.time), np.uint8)

    def close(self):
        SeedEnv.closed += 1


class Recorder:
    """Checks what an agent must be told; acts by the observation alone, or by a draw from the
    episode's own seed.
    """

    def __init__(self, sample=False, name="recorder"):
        self.info, self.sample = {"name": name}, sample

    def reset(self, n, task):
        self.n, self.before, self.generators = n, [None] * n, [None] * n
        self.resets = getattr(self, "resets", 0) + 1

    def act(self, observations, rewards, starts, greedy=False, temperature=1.0, seeds=None):
        assert len(observations) == len(rewards) == len(starts) == len(seeds) == self.n
        actions = []
        for row in range(self.n):
            number, time = observations[row]["continuous_observation"]
            if seeds[row] is not None:
                assert starts[row] == (time == 0) and number == seeds[row] % 1000
                assert rewards[row] == pytest.approx(
                    0.0 if starts[row] else 0.01 * self.before[row]
                )
            if starts[row]:
                self.generators[row] = np.random.default_rng(seeds[row])
            actions.append(
                int(self.generators[row].integers(2)) if self.sample else int(number + time) % 2
            )
        self.before = actions
        return actions


@pytest.fixture(autouse=True)
def fresh():
    SeedEnv.resets, SeedEnv.closed, SeedEnv.alive = [], 0, 0


def make(name):
    return SeedEnv()


MANY = [f"evaluation-many-{index}" for index in range(6)]
for name in MANY:
    register(
        Task(name, "evaluation", "Seeds-v0", None, "continuous", 2, "discrete", 2),
        lambda task, render_mode=None: SeedEnv(),
    )


class Slow(SeedEnv):
    """An episode takes a fifth of a second and more."""

    def step(self, action):
        time.sleep(0.2)
        return super().step(action)


def make_slow(name):
    return Slow()


class Diverging(SeedEnv):
    def step(self, action):
        return *super().step(action)[:1], float("nan"), True, False, {}


def make_some_fail(name):
    """One task's simulation diverges, one's package is missing, one's process is killed (where it
    is not ours).
    """
    if name == MANY[1]:
        return Diverging()
    if name == MANY[2]:
        raise ImportError(f"task {name} needs the package 'atlantis'")
    if name == MANY[3] and os.getpid() != PARENT:
        os.kill(os.getpid(), signal.SIGKILL)
    return SeedEnv()


PARENT = int(
    os.environ.setdefault("EVALUATION_TEST_PARENT", str(os.getpid()))
)  # worker processes import this module too


def play(episodes=13, envs=4, agent=None, seed=FIRST_SEED, **settings):
    return play_task(
        agent or Recorder(), TASK, PlaySettings(episodes, seed, envs, **settings), make=make
    )


def test_every_seed_is_played_once_and_in_order():
    episodes = play(13, 4)
    assert [episode.seed for episode in episodes] == list(range(FIRST_SEED, FIRST_SEED + 13))
    assert [int(episode.total) for episode in episodes] == list(range(13))
    assert [episode.length for episode in episodes] == [1 + seed % 5 for seed in range(13)]
    assert [episode.success for episode in episodes] == [
        (FIRST_SEED + seed) % 3 == 0 for seed in range(13)
    ]
    assert sorted(SeedEnv.resets) == list(range(FIRST_SEED, FIRST_SEED + 13))
    assert SeedEnv.closed == 4


@pytest.mark.parametrize("sample", [False, True])
@pytest.mark.parametrize("envs", [2, 4, 13, 99])
def test_the_number_of_environments_does_not_matter(sample, envs):
    assert play(13, envs, Recorder(sample)) == play(13, 1, Recorder(sample))


def test_one_forward_answers_all_environments():
    agent = Recorder()
    play(12, 4, agent)
    assert agent.resets == 1 and agent.n == 4


def test_lockstep_keeps_its_environments_busy():
    assert [
        lockstep(30, 16),
        lockstep(30, 30),
        lockstep(5, 16),
        lockstep(7, 1),
        lockstep(17, 16),
    ] == [15, 30, 5, 1, 9]


def test_max_steps_cuts_episodes_and_says_so():
    episodes = play(5, 2, max_steps=2)
    assert [episode.length for episode in episodes] == [1, 2, 2, 2, 2]
    assert [episode.cut for episode in episodes] == [False, False, True, True, True]


def test_environments_are_closed_and_the_seed_is_told_when_one_fails():
    class Broken(SeedEnv):
        def step(self, action):
            raise RuntimeError("the simulation diverged")

    with pytest.raises(RuntimeError) as caught:
        play_task(Recorder(), TASK, PlaySettings(3, envs=2), make=lambda name: Broken())
    assert SeedEnv.closed == 2
    assert TASK in caught.value.__notes__[0] and str(FIRST_SEED) in caught.value.__notes__[0]


def test_a_return_that_is_not_finite_is_a_clear_error():
    class Lost(SeedEnv):
        def step(self, action):
            return *super().step(action)[:1], float("nan"), True, False, {}

    with pytest.raises(ValueError, match=f"seed {FIRST_SEED}: the return is nan"):
        play_task(Recorder(), TASK, PlaySettings(3, envs=1), make=lambda name: Lost())


def test_the_film_shows_the_first_episode_from_start_to_end():
    video = EpisodeVideo()
    play_task(
        Recorder(), TASK, PlaySettings(6, FIRST_SEED + 4, envs=2), video, make=make
    )  # its first seed lasts five steps
    assert [int(frame[0, 0, 0]) for frame in video.frames] == [0, 1, 2, 3, 4, 5]
    assert [caption["step"] for caption in video.captions] == [0, 1, 2, 3, 4, 5]
    assert video.captions[-1]["total"] == pytest.approx(4, abs=0.1)


def test_a_long_film_is_thinned_evenly():
    video = EpisodeVideo(limit=10)
    for step in range(1000):
        video.add(lambda: np.zeros((1, 1, 3), np.uint8), {"step": step}, last=step == 999)
    steps = [caption["step"] for caption in video.captions]
    assert 10 <= len(steps) <= 20 and steps[0] == 0 and steps[-1] == 999
    assert len(set(np.diff(steps)[:-1])) == 1


def test_a_film_may_keep_every_third_frame_only():
    video, rendered = EpisodeVideo(stride=3), []
    for step in range(11):
        video.add(
            lambda step=step: rendered.append(step) or np.zeros((1, 1, 3), np.uint8),
            {"step": step},
            last=step == 10,
        )
    assert rendered == [caption["step"] for caption in video.captions] == [0, 3, 6, 9, 10]


# --- evaluate
# -------------------------------------------------------------------------------------------------------------


def run(tasks=TASK, agent=None, **options):
    return evaluate(
        agent or Recorder(),
        tasks,
        **{"episodes": 6, "envs": 3, "make": make, "progress": False, **options},
    )


def test_results_hold_returns_by_seed_and_survive_json():
    results = run()
    task = results["tasks"][TASK]
    assert task["seeds"] == list(range(FIRST_SEED, FIRST_SEED + 6))
    assert [int(value) for value in task["returns"]] == [0, 1, 2, 3, 4, 5]
    assert task["return"]["mean"] == pytest.approx(np.mean(task["returns"]))
    assert task["return"]["interval"][0] <= task["return"]["mean"] <= task["return"]["interval"][1]
    assert task["success"]["rate"] == pytest.approx(2 / 6)
    assert results["settings"]["episodes"] == 6 and results["agent"]["name"] == "recorder"
    assert {"command", "date", "versions", "seconds"} <= results.keys()
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_a_task_without_scores_is_left_out_of_averages_and_named():
    results = run()
    assert results["tasks"][TASK]["by_teacher"] == {"left_out": "no measured teacher"}
    average = results["domains"]["evaluation"]["by_expert"]
    assert (
        average["left_out"] == {TASK: "no published expert"}
        and average["mean"] is None
        and average["tasks"] == []
    )


def test_a_second_run_reads_what_the_first_has_written(tmp_path):
    first = run(output=tmp_path)
    SeedEnv.resets = []
    second = run(output=tmp_path)
    assert SeedEnv.resets == []
    assert first["tasks"] == second["tasks"]
    assert [entry.name for entry in (tmp_path / "tasks").iterdir()] == [f"{TASK}.json"]


def test_a_stopped_run_goes_on_with_the_tasks_that_are_missing(tmp_path):
    other = "evaluation-more"
    register(
        Task(other, "evaluation", "Seeds-v0", None, "continuous", 2, "discrete", 2),
        lambda task, render_mode=None: SeedEnv(),
    )

    def stop(name, video):
        if name == other:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run([TASK, other], output=tmp_path, on_task=stop)
    assert [entry.name for entry in (tmp_path / "tasks").iterdir()] == [f"{TASK}.json"]
    SeedEnv.resets, played = [], []
    results = run([TASK, other], output=tmp_path, on_task=lambda name, video: played.append(name))
    assert played == [other] and len(SeedEnv.resets) == 6
    assert list(results["tasks"]) == [TASK, other]


@pytest.mark.parametrize(
    "change, says",
    [
        ({"episodes": 5}, "episodes 6 instead of 5"),
        ({"greedy": True}, "greedy False instead of True"),
    ],
)
def test_records_of_other_settings_are_not_reused(tmp_path, change, says):
    run(output=tmp_path)
    with pytest.raises(ValueError, match=says):
        run(output=tmp_path, **change)


def test_records_of_another_agent_are_not_reused(tmp_path):
    run(output=tmp_path)
    with pytest.raises(ValueError, match="another evaluation: agent"):
        run(output=tmp_path, agent=Recorder(name="somebody else"))


def test_records_do_not_depend_on_how_many_environments_played(tmp_path):
    assert (
        run(output=tmp_path)["tasks"][TASK]["returns"]
        == run(output=tmp_path, envs=1)["tasks"][TASK]["returns"]
    )


def test_a_broken_record_is_a_clear_error(tmp_path):
    run(output=tmp_path)
    (tmp_path / "tasks" / f"{TASK}.json").write_text('{"task": "evalu')
    with pytest.raises(ValueError, match="not the record of an evaluated task; delete it"):
        run(output=tmp_path)


def test_films_are_handed_over_task_by_task():
    videos = {}
    run(videos=True, on_task=videos.__setitem__)
    assert len(videos[TASK].frames) == 2  # seed 1,000,000 lasts one step


def test_worker_processes_give_the_same_results():
    more = "evaluation-worker"
    register(
        Task(more, "evaluation", "Seeds-v0", None, "continuous", 2, "discrete", 2),
        lambda task, render_mode=None: SeedEnv(),
    )
    alone, together = run([TASK, more]), run([TASK, more], workers=2)
    assert together["tasks"] == alone["tasks"] and list(together["tasks"]) == [TASK, more]


@pytest.mark.parametrize(
    "options, says",
    [
        ({"tasks": "babyai-go-to-lokal"}, "babyai-go-to-local"),
        ({"tasks": []}, "no tasks to evaluate"),
        ({"episodes": 0}, "episodes is 0"),
        ({"envs": 0}, "envs is 0"),
        ({"seed": 5}, "recorded with smaller seeds"),
        ({"temperature": 0.0}, "temperature is 0.0"),
        ({"max_steps": 0}, "max_steps is 0"),
    ],
)
def test_bad_settings_are_clear_errors(options, says):
    with pytest.raises(ValueError, match=says):
        run(**options)


def test_identity_tells_weights_apart():
    import torch

    class Player:
        def __init__(self, weight):
            self.info, self.model = {"name": "player"}, torch.nn.Linear(2, 3)
            torch.nn.init.constant_(self.model.weight, weight)
            torch.nn.init.zeros_(self.model.bias)

    one, same, other = identity(Player(0.5)), identity(Player(0.5)), identity(Player(0.25))
    assert one == same and one["parameters"] == 9 and one["name"] == "player"
    assert one["fingerprint"] != other["fingerprint"]


def test_a_real_agent_plays_the_same_alone_and_in_lockstep():
    import torch

    from jatlab.agents.agent import Agent
    from jatlab.model import JatModel
    from jatlab.model.config import JatConfig
    from jatlab.model.tokenization import TextTokenizer

    torch.manual_seed(0)
    agent = Agent(JatModel(JatConfig.preset("nano")), TextTokenizer.load())
    assert get_task(TASK).action == "discrete"
    assert [e.total for e in play(9, 4, agent)] == pytest.approx(
        [e.total for e in play(9, 1, agent)]
    )


# --- many tasks
# -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers, dead", [(1, []), (2, [MANY[3]])])
def test_a_task_that_fails_does_not_stop_the_others(tmp_path, workers, dead):
    results = run(MANY, output=tmp_path, make=make_some_fail, workers=workers)
    assert set(results["failed"]) == {MANY[1], MANY[2], *dead}
    assert (
        results["failed"][MANY[1]]
        == f"ValueError: seed {FIRST_SEED}: the return is nan; a reward was NaN or infinite"
    )
    assert results["failed"][MANY[2]] == f"ImportError: task {MANY[2]} needs the package 'atlantis'"
    assert all("killed (exit code -9)" in results["failed"][name] for name in dead)
    kept = [name for name in MANY if name not in results["failed"]]
    assert list(results["tasks"]) == kept and results["domains"]["evaluation"]["tasks"] == kept
    again = run(MANY, output=tmp_path)  # what failed is played again, and nothing else
    assert again["failed"] == {} and list(again["tasks"]) == MANY
    assert {name: again["tasks"][name] for name in kept} == results["tasks"]


def test_when_nothing_can_be_played_the_error_is_raised():
    with pytest.raises(ImportError, match="atlantis"):
        run(MANY[2], make=make_some_fail)


def test_the_longest_tasks_are_played_first():
    names = ["babyai-go-to-obj", "atari-pong", "metaworld-reach", "atari-solaris", TASK]
    assert sorted(names, key=expected_seconds, reverse=True) == [
        "atari-solaris",
        "atari-pong",
        "metaworld-reach",
        "babyai-go-to-obj",
        TASK,
    ]


SCRIPT = """
import sys
from tests.evaluation.test_evaluate import MANY, Recorder, make_slow
from jatlab.evaluation.evaluate import evaluate
if __name__ == "__main__":
    evaluate(Recorder(), MANY, 4, envs=2, workers=2, output=sys.argv[1], make=make_slow, progress=False)
"""


def test_a_killed_run_leaves_what_is_finished_and_the_same_command_goes_on(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "out")]
    records = lambda: sorted((tmp_path / "out" / "tasks").glob("*.json"))
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(command, start_new_session=True, env=environment)
    wait_for(records)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_for(
        lambda: not group_is_alive(process.pid)
    )  # the workers notice that their parent is gone
    done = {path: path.stat().st_mtime_ns for path in records()}
    assert 1 <= len(done) < len(MANY)
    subprocess.run(command, check=True, timeout=120, env=environment)
    assert len(records()) == len(MANY)
    assert {path: path.stat().st_mtime_ns for path in done} == done  # not played again
    assert run(MANY, output=tmp_path / "out", episodes=4)["tasks"] == run(MANY, episodes=4)["tasks"]


def test_text_and_picture_tasks_go_to_their_own_scores(monkeypatch):
    import types

    import torch

    asked = {}

    def language_scores(agent, names, data):
        asked.update(names=names, data=data)
        return {
            name: {
                "perplexity": 12.5,
                "interval": [12.0, 13.0],
                "unigram": 300.0,
                "tokens": 999,
                "documents": 7,
            }
            for name in names
        }

    monkeypatch.setitem(
        sys.modules,
        "jatlab.evaluation.language",
        types.SimpleNamespace(language_scores=language_scores),
    )
    agent = Recorder()
    agent.model = torch.nn.Linear(1, 1)
    results = run([TASK, "python-docs"], agent, data="elsewhere")
    assert asked == {"names": ["python-docs"], "data": "elsewhere"}
    assert (
        list(results["tasks"]) == [TASK]
        and results["language"]["python-docs"]["perplexity"] == 12.5
    )
    alone = run("python-docs", agent)
    assert alone["tasks"] == {} and alone["settings"]["episodes"] == 6
    assert run([TASK, "python-docs"])["failed"]["python-docs"].startswith(
        "ValueError: Recorder has no model"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", task_names("mujoco"))
def test_an_untrained_agent_comes_through_every_simulation(name):
    from jatlab.agents.agent import Agent

    results = evaluate(Agent.untrained("nano"), name, 1, progress=False)
    task = results["tasks"][name]
    assert (
        results["failed"] == {}
        and np.isfinite(task["returns"]).all()
        and 1 <= task["lengths"][0] <= 1000
    )


def test_an_untrained_agent_is_the_same_every_time():
    from jatlab.agents.agent import Agent

    one, two, other = (
        Agent.untrained("nano"),
        Agent.untrained("nano"),
        Agent.untrained("nano", seed=1),
    )
    assert identity(one) == identity(two) and identity(one)["name"] == "untrained:nano"
    assert identity(one)["fingerprint"] != identity(other)["fingerprint"]
    with pytest.raises(ValueError, match="unknown preset 'nanno'"):
        Agent.untrained("nanno")
