"""Training an in-context agent: it learns to use what it retrieves, resumes, and names mistakes."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.torch import load_file

from jatlab import Agent, InContextAgent, load_agent
from jatlab.agents.checkpoints import save_agent
from jatlab.agents.retrieval.retrieve import frame_encoder
from jatlab.data.episodes import write_episodes
from jatlab.tasks import get_task
from jatlab.training.data import arrange, open_sources
from jatlab.training.setup import resolve
from jatlab.training.trainer import TrainConfig, Trainer, TrainingInterrupted, train
from tests.support.training import TINY, told
from tests.training.test_resume import Stopped

NAMES = [
    f"metaworld-{name}" for name in ("reach", "push", "pick-place", "door-open", "coffee-pull")
]
NEW = "metaworld-bin-picking"


@pytest.fixture
def in_context(recipe):
    """The tiny recipe, for an in-context agent of the two arms."""
    tasks = ["metaworld-reach", "metaworld-door-close"]
    return replace(recipe, in_context=True, retrieved=5, tasks=tasks, past_action_dropout=0.0)


def test_the_agent_says_what_it_is(in_context):
    agent = load_agent(train(replace(in_context, sharpness=4.0)))
    assert (agent.settings.retrieved, agent.settings.sharpness) == (5, 4.0)
    assert agent.settings.frame_encoder is None
    config = agent.model.config
    assert not config.hide_past_actions and config.observation_loss_coef == 0
    with pytest.raises(ValueError, match="plays from demonstrations"):
        agent.reset(1, "metaworld-reach")


def test_frames_are_compared_by_the_recipes_encoder(in_context, tmp_path):
    name = "atari-pong"
    rng = np.random.default_rng(0)
    episodes = [
        {
            "image_observations": rng.integers(0, 256, (6, 4, 84, 84), np.uint8),
            "discrete_actions": rng.integers(0, 6, 6),
            "rewards": np.zeros(6, np.float32),
        }
        for _ in range(3)
    ]
    path = tmp_path / "frames" / name / "train" / "00000.parquet"
    write_episodes(path, episodes, get_task(name))
    encoder = Agent.untrained()
    config = replace(
        in_context,
        data=str(tmp_path / "frames"),
        tasks=[name],
        frame_encoder=str(save_agent(encoder, tmp_path / "other-games")),
        val_fraction=0.0,
    )
    setup = resolve(config)
    [source] = arrange(open_sources(setup, config), setup, config).sources
    usual = replace(config, frame_encoder=None)
    [other] = arrange(open_sources(setup, usual), resolve(usual), usual).sources
    assert other.fingerprint != source.fingerprint, "a resumed run would not notice"
    features = frame_encoder(encoder)(source.store.columns["image_observations"])
    for query, [first, *_] in enumerate(source.neighbours):
        own = query // 6
        searched = np.unique(source.neighbours[6 * own : 6 * own + 6].clip(0) // 6)
        among = [row for row in range(18) if row // 6 in searched and row // 6 != own]
        away = np.linalg.norm(features[among] - features[query], axis=1)
        assert first == among[away.argmin()]
    trained = load_agent(
        train(replace(config, steps=1, minutes=None, output=str(tmp_path / "seer")))
    )
    player = InContextAgent(trained, name, episodes)  # its agent.json names the encoder
    np.testing.assert_allclose(player.index.encode(episodes[0]["image_observations"]), features[:6])
    (tmp_path / "other-games").rename(tmp_path / "elsewhere")
    with pytest.raises(FileNotFoundError, match="other-games"):
        InContextAgent(trained, name, episodes)


def test_nothing_is_retrieved_from_what_is_held_out(in_context):
    setup = resolve(in_context)
    data = arrange(open_sources(setup, in_context), setup, in_context)
    for source in data.sources:
        held = [plan.source for plan in data.held_out if plan.task == source.name][0]
        assert not np.isin(held.episodes, source.episodes).any()
        for one in (source, held):
            rows = one.neighbours[one.windows(np.random.default_rng(0))[:, 0]]
            episodes = np.searchsorted(one.store.offsets, rows, side="right") - 1
            assert np.isin(episodes, source.episodes).all()


@pytest.mark.slow
def test_a_resumed_run_equals_one_that_was_not_stopped(in_context, tmp_path):
    straight = train(replace(in_context, output=str(tmp_path / "straight")))
    with pytest.raises(TrainingInterrupted):
        Stopped(in_context).fit()
    resumed = train(TrainConfig.of_run(in_context.output))
    one, other = (load_file(folder / "model.safetensors") for folder in (straight, resumed))
    assert all((one[name] == other[name]).all() for name in one)
    assert told(straight) == told(resumed)


def test_training_retrieves_as_the_agent_that_it_starts_from(in_context, tmp_path):
    first = load_agent(train(replace(in_context, retrieved=3, sharpness=2.0, steps=1)))
    start = str(save_agent(first, tmp_path / "first"))
    tuned = replace(in_context, start=start, model={}, retrieved=None, output=str(tmp_path / "t"))
    setup = resolve(tuned)
    inherited = arrange(open_sources(setup, tuned), setup, tuned).sources[0]
    given = replace(tuned, start=None, model=TINY, retrieved=3, sharpness=2.0)
    setup = resolve(given)
    wanted = arrange(open_sources(setup, given), setup, given).sources[0]
    assert inherited.neighbours.shape[1] == 3
    np.testing.assert_array_equal(inherited.neighbours, wanted.neighbours)
    np.testing.assert_array_equal(inherited.weights, wanted.weights)


def test_tasks_side_by_side_are_in_context_too(in_context):
    plan = next(Trainer(replace(in_context, mix=True)).mixture)
    batch = plan.load()
    assert plan.task == "metaworld-reach + 1" and batch["rewards"].shape[1] == 6
    assert (batch["loss_weight"][:, :-1] == 0).all()


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"model": TINY | {"hide_past_actions": True}}, "hides the retrieved actions too"),
        ({"retrieved": 16}, "these are 17 timesteps, and the model has room for 16"),
        ({"retrieved": 0}, "retrieved must be positive, not 0"),
        ({"sharpness": -1.0}, "sharpness is -1.0: expected at least 0"),
        ({"stream": "jat-project/jat-dataset"}, "in_context needs recorded episodes"),
        ({"observations_predicted": 0.5}, "hide_past_actions=True"),
    ],
)
def test_wrong_recipes_are_named(in_context, changes, message):
    with pytest.raises(ValueError, match=message):
        Trainer(replace(in_context, **changes))


# --- what it learns


def shaky_episodes(name, seed, count, length=40):
    """Episodes in which the action is a wave over one number, the task's own, and the hand shakes.

    Who repeats the nearest timestep repeats its shaking; the mean of several ones shakes less.
    """
    task, rng = get_task(name), np.random.default_rng(seed)
    heights, phases = rng.uniform(0.5, 1, task.action_size), rng.uniform(0, 6, task.action_size)
    found = []
    for _ in range(count):
        seen = np.zeros((length, task.observation_size), np.float32)
        seen[:, 0] = rng.uniform(-1, 1, length)
        done = heights * np.sin(2 * seen[:, :1] + phases)
        shaken = done + rng.normal(0, 0.3, done.shape)
        rewards = np.zeros(length, np.float32)
        values = seen, shaken.astype(np.float32), rewards
        columns = ("continuous_observations", "continuous_actions", "rewards")
        found.append(dict(zip(columns, values, strict=True)) | {"wanted": done})
    return found


@pytest.mark.slow
def test_it_learns_to_use_demonstrations_of_a_task_it_never_saw(tmp_path):
    """In a task with another wave it errs less than the nearest timestep and than no movement."""
    for number, name in enumerate(NAMES):
        path = tmp_path / "data" / name / "train" / "00000.parquet"
        write_episodes(path, shaky_episodes(name, number, 8), get_task(name))
    config = TrainConfig(
        data=str(tmp_path / "data"),
        output=str(tmp_path / "run"),
        tasks=NAMES,
        model=TINY | {"resid_dropout": 0.0, "hidden_size": 64, "num_heads": 4},
        in_context=True,
        retrieved=8,
        steps=200,
        batch_timesteps=9 * 64,
        mix=True,
        lr=3e-3,
        average=0.9,
        val_fraction=0.0,
        precision="fp32",
        device="cpu",
        progress=False,
    )
    *shown, played = shaky_episodes(NEW, 99, 4)
    player = InContextAgent(load_agent(train(config)), NEW, shown)
    player.reset(40)
    seen = [{"continuous_observation": one} for one in played["continuous_observations"]]
    acted = np.stack(player.act(seen, starts=np.zeros(40, bool)))
    nearest = np.stack([player.index.action(row) for row in player.neighbours.rows[:, 0]])
    of_agent, of_nearest, of_rest = (
        np.square(one - played["wanted"]).mean() for one in (acted, nearest, 0.0)
    )
    assert of_agent < 0.6 * of_nearest and of_agent < 0.3 * of_rest
