"""A task of your own, from registering to a score, in this process: what a notebook needs."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent, save_agent
from jatlab.data.episodes import read_episodes
from jatlab.data.recording import shards
from jatlab.data.recording.measuring import measure
from jatlab.data.recording.record import record
from jatlab.evaluation.evaluate import evaluate
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.tasks import Task, get_task, register, register_scores, registry, scores, task_scores
from jatlab.teachers import Teacher, describe, get_teacher, has_teacher, register_teacher
from jatlab.teachers import registry as teacher_registry
from jatlab.training.log import read_log
from jatlab.training.trainer import TrainConfig, Trainer, train
from jatlab.utils.workers import run_jobs
from tests.support.training import TINY

NAME = "own-line"


class Line(gym.Env):
    """A point on a line: it observes its place and its goal; the reward is 1 near the goal."""

    observation_space = gym.spaces.Box(-9, 9, (2,), np.float32)
    action_space = gym.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal, self.steps = 0.0, self.np_random.uniform(-1, 1), 0
        return np.array([self.place, self.goal], np.float32), {}

    def step(self, action):
        self.place, self.steps = self.place + 0.2 * float(np.clip(action[0], -1, 1)), self.steps + 1
        near = abs(self.place - self.goal) < 0.1
        observation = np.array([self.place, self.goal], np.float32)
        return observation, float(near), False, self.steps == 12, {"success": near}


class Walker(Teacher):
    def act(self, observation, executed=None):
        place, goal = observation["continuous_observation"]
        return np.clip([5 * (goal - place)], -1, 1).astype(np.float32)


class Still(Teacher):
    def act(self, observation, executed=None):
        return np.zeros(1, np.float32)


@pytest.fixture(autouse=True)
def own(monkeypatch):
    """The task and its teacher, which vanish again after the test."""
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    monkeypatch.setattr(registry, "_MAKERS", dict(registry._MAKERS))
    monkeypatch.setattr(teacher_registry, "_REGISTERED", dict(teacher_registry._REGISTERED))
    monkeypatch.setattr(scores, "_REGISTERED", dict(scores._REGISTERED))
    torch.set_num_threads(1)
    task = Task(NAME, "own", None, None, "continuous", 2, "continuous", 1)
    register(task, lambda task, render_mode=None: Line())
    register_teacher(NAME, Walker, "walks straight to the goal")


def quiet(folder, episodes=20, **settings):
    return record(NAME, folder, episodes, workers=0, progress=False, **settings)[NAME]


def recipe(folder, **changes):
    fields = dict(
        data=str(folder),
        tasks=NAME,
        model=TINY,
        steps=6,
        batch_timesteps=64,
        precision="fp32",
        device="cpu",
        progress=False,
        log_every=1,
        val_every=3,
        save_every=3,
    )
    return TrainConfig(**fields | dict(output=str(folder / "run")) | changes)


def test_a_registered_teacher_is_found_by_name():
    assert has_teacher(NAME) and isinstance(get_teacher(NAME), Walker)
    assert describe(NAME) == "walks straight to the goal"
    register_teacher(NAME, Still, "stays")
    assert isinstance(get_teacher(NAME), Still) and describe(NAME) == "stays"


def test_a_teacher_of_the_package_is_not_replaced():
    with pytest.raises(ValueError, match="babyai-go-to-obj has a teacher already"):
        register_teacher("babyai-go-to-obj", Still, "stays")
    with pytest.raises(ValueError, match="unknown task 'own-lines'; did you mean own-line"):
        register_teacher("own-lines", Still, "stays")
    for make, about in ((Still(), "an instance"), (Still, "")):
        with pytest.raises(ValueError, match="needs a function that makes it and a few words"):
            register_teacher(NAME, make, about)


def test_a_task_that_only_this_process_knows_is_recorded_here(tmp_path):
    summary = quiet(tmp_path, noise=0.5)
    assert (summary["episodes"], summary["timesteps"]) == (20, 240)
    assert summary["policy"] == "walks straight to the goal"
    episodes = read_episodes(tmp_path / NAME / "train", get_task(NAME))
    for episode in episodes:  # the teacher's answers, whatever was executed
        place, goal = episode["continuous_observations"].T
        wanted = np.clip(5 * (goal - place), -1, 1)
        np.testing.assert_allclose(episode["continuous_actions"][:, 0], wanted, atol=1e-5)


def test_an_environment_defined_anew_is_recorded_next(tmp_path):
    first = quiet(tmp_path / "first", episodes=3)

    class Poor(Line):
        def step(self, action):
            return *super().step(action)[:1], 0.0, False, self.steps == 12, {}

    register(get_task(NAME), lambda task, render_mode=None: Poor())
    assert first["mean_return"] > 5 and quiet(tmp_path / "second", episodes=3)["mean_return"] == 0
    assert shards._player is None


def test_another_teacher_cannot_go_on_with_a_recording(tmp_path):
    quiet(tmp_path, episodes=3)
    register_teacher(NAME, Still, "stays")
    message = "recorded with policy = 'walks straight to the goal', now it is 'stays'"
    with pytest.raises(ValueError, match=message):
        quiet(tmp_path, episodes=60)


def test_workers_say_why_they_do_not_know_the_task(tmp_path):
    message = "unknown task 'own-line'.*workers=0, which stays in this process"
    with pytest.raises(ValueError, match=message):
        record(NAME, tmp_path, 2, workers=1, progress=False)


def test_jobs_in_this_process_report_and_fail_as_in_workers():
    def half(job, report):
        report(job)
        return 6 // job

    assert list(run_jobs(half, [2, 3], 0)) == [
        ("progress", 2, 2),
        ("done", 2, 3),
        ("progress", 3, 3),
        ("done", 3, 2),
    ]
    with pytest.raises(ZeroDivisionError):
        list(run_jobs(half, [1, 0], 0))
    kinds = [(kind, job) for kind, job, _ in run_jobs(half, [0, 1], 0, keep_going=True)]
    assert kinds == [("progress", 0), ("failed", 0), ("progress", 1), ("done", 1)]


def test_measured_scores_make_a_scale(tmp_path):
    measured = measure(NAME, 20, workers=0, path=tmp_path / "scores.json", progress=False)[NAME]
    random, teacher = measured["random"]["mean"], measured["teacher"]["mean"]
    assert measured["teacher"]["success"] == 1.0 and random < teacher
    register_scores(NAME, measured)
    scale = scores.normalise(NAME, [random, (random + teacher) / 2, teacher])
    assert scale == pytest.approx([0, 0.5, 1])
    assert task_scores(NAME).teacher.seeds == (2_000_000, 2_000_019)
    results = evaluate(Agent.untrained("nano"), NAME, episodes=3, progress=False)["tasks"][NAME]
    by_teacher = scores.normalise(NAME, results["returns"]).mean()
    assert results["by_teacher"]["mean"] == pytest.approx(float(by_teacher))


def test_scores_that_cannot_be_registered():
    with pytest.raises(ValueError, match="metaworld-reach has measured scores already"):
        register_scores("metaworld-reach", {"teacher": {"mean": 1.0}})
    nan = float("nan")
    wrong = ({"std": 1.0}, {"mean": nan}, {"mean": "high"}, {"mean": None}, 1.0)
    for entries in ({"expert": {"mean": 1.0}}, *({"teacher": one} for one in wrong)):
        with pytest.raises(ValueError, match="'random', each with a finite 'mean'"):
            register_scores(NAME, entries)


@pytest.fixture
def first_agent(tmp_path):
    """A folder with a tiny agent whose sizes are no preset's."""
    torch.manual_seed(5)
    model = JatModel(JatConfig.preset("nano", **TINY))
    info = {"step": 7, "timesteps": 70, "minutes": 0.7, "recipe": {"seed": 5}, "threads": 1}
    return save_agent(Agent(model, info=info), tmp_path / "first")


def test_training_starts_from_the_agents_weights_and_sizes(tmp_path, first_agent):
    quiet(tmp_path)
    trainer = Trainer(recipe(tmp_path, start=str(first_agent), model={"resid_dropout": 0.0}))
    agent = load_agent(first_agent)
    assert trainer.model.config == agent.model.config.replace(resid_dropout=0.0)
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, agent.model.state_dict()[name]), name
    trainer.fit()
    untouched = load_agent(first_agent).model.state_dict()
    for name, value in agent.model.state_dict().items():
        assert torch.equal(value, untouched[name]), name
    trained = load_agent(tmp_path / "run")
    assert trained.info["recipe"]["start"] == str(first_agent)
    before = {"step": 7, "timesteps": 70, "minutes": 0.7, "recipe": {"seed": 5}, "before": None}
    assert trained.info["before"] == before
    new, old = (a.model.continuous_encoder.linear.weight for a in (trained, agent))
    assert not torch.equal(new, old)


def test_stopped_fine_tuning_goes_on_without_the_first_agent(tmp_path, first_agent):
    quiet(tmp_path)
    start = {"start": str(first_agent), "model": {}}
    whole = train(recipe(tmp_path, output=str(tmp_path / "whole"), **start))

    def stop(record):
        if record["step"] == 4:
            raise KeyboardInterrupt

    config = recipe(tmp_path, **start)
    with pytest.raises(KeyboardInterrupt):
        train(config, stop)
    first_agent.rename(tmp_path / "moved")
    resumed = train(TrainConfig.of_run(config.output))
    losses = [[line["loss"] for line in read_log(folder)] for folder in (whole, resumed)]
    assert losses[0] == losses[1] and len(losses[0]) == 6
    assert load_agent(resumed).info["before"]["step"] == 7


def test_a_start_of_another_size_is_refused(tmp_path, first_agent):
    quiet(tmp_path)
    with pytest.raises(ValueError, match="cannot be the start of a model with .*vocab_size"):
        Trainer(recipe(tmp_path, start=str(first_agent), model={"vocab_size": 50}))
    with pytest.raises(FileNotFoundError, match="no agent"):
        Trainer(recipe(tmp_path, start=str(tmp_path / "nowhere"), model={}))


def test_reports_come_as_they_are_logged(tmp_path):
    quiet(tmp_path)
    seen = []
    folder = train(recipe(tmp_path), seen.append)
    assert seen == read_log(folder) and "validation" in seen[-1]
    assert [line["step"] for line in seen] == list(range(1, 7))
