"""The in-context agent: what stands in its context, what it mixes, and what it refuses."""

import pickle

import numpy as np
import pytest
import torch

from jatlab import Agent, InContextAgent, evaluate, load_agent, make_env, rollout
from jatlab.agents.checkpoints import save_agent
from jatlab.agents.retrieval.in_context import softened
from jatlab.agents.retrieval.retrieve import frame_encoder
from jatlab.agents.settings import AgentSettings
from jatlab.data.retrieval.context import ContextSource
from jatlab.data.storage import EpisodeStore
from jatlab.data.windows import source_for, to_tensors
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.tasks import get_task
from tests.agents.retrieval.test_retrieve import demonstrate
from tests.support.training import TINY

PENDULUM, ROOM = "mujoco-pendulum", "babyai-go-to-obj"


def network(retrieved=4, sharpness=10.0, **changes):
    """An untrained in-context agent, without demonstrations."""
    torch.manual_seed(0)
    model = JatModel(JatConfig.preset("nano", **TINY | {"resid_dropout": 0.0} | changes))
    settings = AgentSettings(retrieved=retrieved, sharpness=sharpness)
    return Agent(model, info={"name": "little"}, settings=settings)


@pytest.fixture(scope="module")
def shown():
    return {task: [demonstrate(task, seed, 40) for seed in range(3)] for task in (PENDULUM, ROOM)}


@pytest.mark.parametrize("task", [PENDULUM, ROOM])
def test_an_agent_repeats_its_own_demonstration(shown, task):
    agent = InContextAgent(network(), task, shown[task])
    env = make_env(task, render_mode=None)
    again = rollout(agent, env, seed=1, max_steps=40, greedy=True)
    env.close()
    name = f"{get_task(task).action}_actions"
    np.testing.assert_allclose(again[name], shown[task][1][name], rtol=1e-6)


@pytest.mark.parametrize("task", [PENDULUM, ROOM])
def test_it_reads_what_training_showed(shown, task):
    """Its prediction is the model's for the batch that `ContextSource` makes of the same query."""
    agent, kind = network(sharpness=1e9), get_task(task)
    store = EpisodeStore.of_episodes(kind, shown[task])
    source = source_for(store, agent.model.config, agent.tokenizer)
    context = ContextSource(source, source.episodes, 4, 1e9)
    queries = np.arange(*store.offsets[1:3])[3:6]
    batch = to_tensors(context.batch(np.stack([queries, np.full(3, 5)], axis=1)))
    with torch.no_grad():
        wanted = agent.model(**batch, return_loss=False).pred_actions[:, -1]
    others = np.unique(np.searchsorted(store.offsets, context.neighbours[queries], "right") - 1)
    player = InContextAgent(agent, task, [shown[task][one] for one in others])
    player.reset(3)
    seen, rewards = observations(store, queries), store.columns["rewards"][queries]
    actions = player.act(seen, rewards, np.zeros(3, bool), temperature=1.0)
    if kind.action == "continuous":
        np.testing.assert_allclose(np.stack(actions), wanted, atol=1e-5)
        return
    far = player.neighbours.distances[:, 0] > 0
    likely = wanted[:, : kind.action_size].softmax(-1)
    np.testing.assert_allclose(player.last.probabilities[far], likely[far], atol=1e-5)


def observations(store, rows):
    """Stored observations, as an environment gives them."""
    kind = store.task.observation
    found = [{f"{kind}_observation": one} for one in store.columns[f"{kind}_observations"][rows]]
    for one, row in zip(found, rows, strict=True):
        if kind == "discrete":
            one["text_observation"] = store.texts[store.columns["text_observations"][row]]
    return found


def test_a_continuous_action_is_mixed_by_the_distance(shown):
    agent, alone = (
        InContextAgent(network(sharpness=s), PENDULUM, shown[PENDULUM]) for s in (3, 1e9)
    )
    seen = [{"continuous_observation": np.full(4, x, np.float32)} for x in (0.01, 0.05, 3.0)]
    agent.reset(3), alone.reset(3)
    mixed, predicted = np.stack(agent.act(seen)), np.stack(alone.act(seen))
    near = agent.neighbours
    units = np.minimum(near.distances[:, 0] / agent.index.scale, 1)
    weight = np.exp(-3 * units)[:, None]
    done = np.stack([agent.index.action(row) for row in near.rows[:, 0]])
    np.testing.assert_allclose(mixed, weight * done + (1 - weight) * predicted, atol=1e-6)
    assert (np.diff(near.distances) >= 0).all() and near.rows.shape == (3, 4)


@pytest.mark.parametrize("distance", [0.0, 0.3, 1.0])
def test_choices_are_softened_as_published(distance):
    size, chosen = 7, 2
    found = softened(torch.tensor([chosen]), size, torch.tensor([[distance]]))[0]
    wanted = torch.full((size,), distance / size)
    wanted[chosen] = (1 + (size - 1) * (1 - distance)) / size
    torch.testing.assert_close(found, wanted)
    assert found.sum().item() == pytest.approx(1)


@pytest.mark.parametrize("task", [PENDULUM, ROOM])
def test_lockstep_acts_as_one_by_one(shown, task):
    env = make_env(task, render_mode=None)
    seen = [env.reset(seed=seed)[0] for seed in range(20, 25)]
    env.close()
    agent = InContextAgent(network(), task, shown[task])
    agent.reset(5)
    together = agent.act(seen, greedy=True)
    for observation, action in zip(seen, together, strict=True):
        agent.reset(1)
        np.testing.assert_allclose(agent.act(observation, greedy=True), action, atol=1e-5)


def test_fewer_timesteps_than_it_wants_are_all_retrieved(shown):
    few = [{name: values[:2] for name, values in shown[PENDULUM][0].items()}]
    agent = InContextAgent(network(), PENDULUM, few)
    agent.reset(1)
    agent.act({"continuous_observation": np.zeros(4, np.float32)})
    assert sorted(agent.neighbours.rows[0]) == [0, 1]


def test_the_settings_say_that_it_is_one(tmp_path, shown):
    agent = load_agent(save_agent(network(6, 5.0), tmp_path))
    assert (agent.settings.retrieved, agent.settings.sharpness) == (6, 5.0)
    with pytest.raises(ValueError, match="is an in-context agent and plays from demonstrations"):
        agent.reset(1, PENDULUM)
    player = InContextAgent(agent, PENDULUM, shown[PENDULUM], 2)
    assert player.index.episodes == 2 and player.info["name"].startswith(f"{tmp_path.name}-2-")


def test_it_travels_with_its_demonstrations(shown):
    agent = InContextAgent(network(), PENDULUM, shown[PENDULUM])
    copy = pickle.loads(pickle.dumps(agent))
    seen = {"continuous_observation": np.full(4, 0.1, np.float32)}
    agent.reset(1), copy.reset(1)
    np.testing.assert_array_equal(agent.act(seen), copy.act(seen))


def test_what_it_embedded_is_forgotten_at_a_reset(shown):
    """Stored timesteps are embedded once, with the weights of the moment."""
    agent = InContextAgent(network(sharpness=1e9), PENDULUM, shown[PENDULUM])
    seen = {"continuous_observation": np.full(4, 0.1, np.float32)}
    agent.reset(1)
    before = [agent.act(seen), agent.act(seen, starts=True)]
    np.testing.assert_array_equal(*before)
    with torch.no_grad():
        agent.model.continuous_encoder.linear.weight.mul_(1.5)
    fresh = InContextAgent(agent, PENDULUM, shown[PENDULUM])
    agent.reset(1), fresh.reset(1)
    after = agent.act(seen)
    np.testing.assert_array_equal(after, fresh.act(seen))
    assert not np.allclose(after, before[0])


def test_frames_are_compared_by_the_encoder_that_is_named(tmp_path):
    """It is any agent's; what is nearest by one need not be by another."""
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (6, 4, 84, 84), np.uint8)
    shown = {
        "image_observations": frames,
        "discrete_actions": np.arange(6) % 6,
        "rewards": np.zeros(6, np.float32),
    }
    distances = []
    for seed in (0, 1):
        encoder = Agent.untrained(seed=seed)
        folder = save_agent(encoder, tmp_path / str(seed))
        given = encoder if seed else folder
        agent = InContextAgent(network(), "atari-pong", [shown], encoder=given)
        agent.reset(1)
        agent.act({"image_observation": frames[2] // 2})
        features = frame_encoder(encoder)(np.stack([frames[2] // 2, *frames]))
        wanted = np.sort(np.linalg.norm(features[1:] - features[0], axis=1))[:4]
        np.testing.assert_allclose(np.sort(agent.neighbours.distances[0]), wanted, rtol=1e-3)
        distances.append(wanted)
    assert not np.allclose(*distances)


def test_as_many_are_retrieved_as_there_are_positions(shown):
    """32 positions hold 16 timesteps, of which the last is the one to act in."""
    agent = InContextAgent(network(15), PENDULUM, shown[PENDULUM])
    agent.reset(1)
    agent.act({"continuous_observation": np.zeros(4, np.float32)})
    assert agent.neighbours.rows.shape == (1, 15)
    message = "little: retrieved is 16: with the observation itself these are 17 timesteps, and the"
    with pytest.raises(ValueError, match=f"{message} model has room for 16"):
        InContextAgent(network(16), PENDULUM, shown[PENDULUM])


def test_evaluate_takes_it(shown):
    agent = InContextAgent(network(), PENDULUM, shown[PENDULUM])
    results = evaluate(agent, PENDULUM, episodes=3, max_steps=5, progress=False)
    assert not results["failed"]


def test_what_it_cannot_do_is_named(shown):
    ordinary = Agent.untrained()
    with pytest.raises(ValueError, match="untrained:nano is no in-context agent"):
        InContextAgent(ordinary, PENDULUM, shown[PENDULUM])
    with pytest.raises(ValueError, match="has no demonstration"):
        InContextAgent(network(), PENDULUM, [])
    with pytest.raises(ValueError, match="^little: hide_past_actions hides the retrieved actions"):
        InContextAgent(network(hide_past_actions=True), PENDULUM, shown[PENDULUM])
    agent = InContextAgent(network(), PENDULUM, shown[PENDULUM])
    for wrong in (0, -1, 2.5):
        with pytest.raises(ValueError, match=f"^n is {wrong}: expected a whole number of at least"):
            agent.reset(wrong)
    with pytest.raises(ValueError, match="give demonstrations of mujoco-ant"):
        agent.reset(1, "mujoco-ant")
    env = make_env(PENDULUM, render_mode=None)
    with pytest.raises(ValueError, match="record no attention"):
        rollout(agent, env, seed=0, record_attention=True)
    env.close()
    for wrong in ({"retrieved": -1}, {"sharpness": -0.5}, {"sharpness": float("nan")}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            AgentSettings(**wrong)


def test_other_demonstrations_are_another_evaluation(shown, tmp_path):
    """Equal weights, so the records must tell the demonstrations apart."""
    agents = [InContextAgent(network(), PENDULUM, shown[PENDULUM][:n]) for n in (1, 2)]
    how = dict(episodes=2, max_steps=5, progress=False, output=tmp_path)
    evaluate(agents[0], PENDULUM, **how)
    with pytest.raises(ValueError, match="demonstrations '1-[0-9a-f]+' instead of '2-"):
        evaluate(agents[1], PENDULUM, **how)
    with pytest.raises(ValueError, match="sharpness 10.0 instead of 2.0"):
        evaluate(
            InContextAgent(network(sharpness=2.0), PENDULUM, shown[PENDULUM][:1]), PENDULUM, **how
        )
