"""The agent: what it senses, chooses and refuses; alone and in lockstep."""

import pickle

import numpy as np
import pytest
import torch

import jatlab
from jatlab.agents.agent import Agent
from jatlab.agents.rollout import RandomAgent
from jatlab.agents.settings import AgentSettings


@pytest.fixture(scope="module")
def agent():
    torch.manual_seed(0)
    model = jatlab.JatModel(
        jatlab.JatConfig.preset(
            "nano",
            num_layers=2,
            attention_types=[[["global", "local"], 1]],
            max_position_embeddings=32,
        )
    )
    for weight in model.trunk.parameters():
        weight.data.add_(0.05 * torch.randn_like(weight))
    return jatlab.Agent(model)


def grid(rng, mission="go to the red ball"):
    return {"discrete_observation": rng.integers(0, 8, 148), "text_observation": mission}


def test_lockstep_equals_one_at_a_time(agent):
    """Episodes of different lengths end and start again inside a batch; each gets the actions it
    gets alone.
    """
    rng = np.random.default_rng(0)
    lengths, seeds = [[5, 30, 9], [21, 3, 20], [44]], [[11, 12, 13], [21, 22, 23], [31]]
    episodes = [[[grid(rng) for _ in range(n)] for n in row] for row in lengths]
    alone = [
        [play_alone(agent, episode, seed) for episode, seed in zip(*row, strict=True)]
        for row in zip(episodes, seeds, strict=True)
    ]
    together = play_together(agent, episodes, seeds)
    assert together == alone
    assert len({tuple(actions) for row in alone for actions in row}) == 7


def play_alone(agent, episode, seed):
    agent.reset(1, "babyai-go-to-obj")
    return [agent.act(observation, 0.1 * t, seeds=[seed]) for t, observation in enumerate(episode)]


def play_together(agent, episodes, seeds):
    agent.reset(len(episodes), "babyai-go-to-obj")
    steps = [
        [(s, t) for s, episode in zip(seed, row, strict=True) for t in range(len(episode))]
        for row, seed in zip(episodes, seeds, strict=True)
    ]
    flat = [[o for episode in row for o in episode] for row in episodes]
    results = [[[] for _ in row] for row in episodes]
    for i in range(max(map(len, flat))):
        # a row that has ended repeats its last observation, to no effect on the others
        now = [min(i, len(f) - 1) for f in flat]
        of_rows = [steps[r][n] for r, n in enumerate(now)]
        actions = agent.act(
            [f[n] for f, n in zip(flat, now, strict=True)],
            [0.1 * t for _, t in of_rows],
            [t == 0 for _, t in of_rows],
            seeds=[seed for seed, _ in of_rows],
        )
        for row, action in enumerate(actions):
            if i < len(flat[row]):
                results[row][seeds[row].index(steps[row][i][0])].append(action)
    return results


@pytest.mark.slow
def test_sampling_follows_the_probabilities_and_the_temperature(agent):
    rng = np.random.default_rng(1)
    observation = grid(rng)
    agent.seed(5)
    agent.reset(4000, "babyai-go-to-obj")
    counts = np.bincount(agent.act([observation] * 4000, np.zeros(4000)), minlength=7) / 4000
    np.testing.assert_allclose(counts, agent.last.probabilities[0], atol=0.03)
    agent.reset(1, "babyai-go-to-obj")
    greedy = agent.act(observation, greedy=True)
    assert greedy == agent.last.probabilities[0].argmax()
    agent.reset(1, "babyai-go-to-obj")
    agent.act(observation, temperature=0.01)
    assert agent.last.probabilities[0].max() > 0.99


def test_an_agent_has_a_temperature_of_its_own(agent):
    """Half the temperature squares the probabilities, before they are made to sum to 1 again."""
    observation = grid(np.random.default_rng(1))

    def probabilities(one, **choice):
        one.reset(1, "babyai-go-to-obj")
        one.act(observation, **choice)
        return one.last.probabilities[0]

    cool = Agent(agent.model, agent.tokenizer, settings=AgentSettings(temperature=0.5))
    squares = probabilities(agent) ** 2
    np.testing.assert_allclose(probabilities(cool), squares / squares.sum(), rtol=1e-4)
    assert cool.temperature == 0.5 and np.array_equal(
        probabilities(cool, temperature=1.0), probabilities(agent)
    )
    for wrong in (-1, float("nan"), float("inf"), "warm"):
        with pytest.raises(ValueError, match=f"temperature is {wrong!r}: expected 0 .*positive"):
            AgentSettings(temperature=wrong)


@pytest.mark.parametrize("temperature", [0, 0.0, -0.0, np.float32(0), 1e-40, 5e-324, 1e-7])
def test_temperature_zero_and_almost_zero_are_greedy(agent, temperature):
    rng = np.random.default_rng(2)
    observations = [grid(rng) for _ in range(50)]
    agent.reset(50, "babyai-go-to-obj")
    greedy = agent.act(observations, greedy=True)
    for choice in ({}, {"greedy": True}):
        agent.reset(50, "babyai-go-to-obj")
        assert agent.act(observations, temperature=temperature, **choice) == greedy
        assert (agent.last.probabilities.max(-1) == 1).all()
    cold = Agent(agent.model, agent.tokenizer, settings=AgentSettings(temperature=temperature))
    cold.reset(50, "babyai-go-to-obj")
    assert cold.act(observations) == greedy


def test_temperature_zero_is_greedy_in_rollout_and_evaluation(agent):
    task, choices = (
        "babyai-go-to-obj",
        ({"greedy": True}, {"temperature": 0}, {"temperature": 1e-9}),
    )
    first, *others = [
        jatlab.rollout(agent, jatlab.make_env(task), seed=5, max_steps=12, **choice)
        for choice in choices
    ]
    for other in others:
        np.testing.assert_array_equal(other["discrete_actions"], first["discrete_actions"])
    first, *others = [
        jatlab.evaluate(agent, [task], episodes=2, max_steps=12, **choice)["tasks"][task]
        for choice in choices
    ]
    assert all(other["returns"] == first["returns"] for other in others)


@pytest.mark.parametrize("temperature", [-1, -1e-40, float("nan"), float("inf"), "warm"])
def test_what_is_no_temperature_is_refused_by_act(agent, temperature):
    agent.reset(1, "babyai-go-to-obj")
    with pytest.raises(ValueError, match="temperature is .*: expected 0"):
        agent.act(grid(np.random.default_rng(2)), temperature=temperature)


def test_the_same_seed_gives_the_same_actions(agent):
    observation = grid(np.random.default_rng(2))
    runs = []
    for _ in range(2):
        agent.seed(3)
        agent.reset(8, "babyai-go-to-obj")
        runs.append(agent.act([observation] * 8, np.zeros(8)))
    assert runs[0] == runs[1] and len(set(runs[0])) > 1


def test_continuous_actions_are_the_raw_prediction(agent):
    agent.reset(2, "metaworld-reach")
    actions = agent.act(
        [{"continuous_observation": np.full(39, 0.1 * i, dtype=np.float32)} for i in range(2)],
        [0, 0],
    )
    inputs = dict(
        continuous_observations=torch.stack([torch.full((1, 39), 0.1 * i) for i in range(2)]),
        continuous_actions=torch.zeros(2, 1, 4),
    )
    with torch.no_grad():
        expected = agent.model(**inputs).pred_actions[:, 0].numpy()
    np.testing.assert_allclose(actions, expected, atol=1e-5)
    assert agent.last.probabilities is None and agent.last.pred_observations.shape == (2, 39)


def test_the_first_reward_is_nothing(agent):
    """No reward came before the first observation, whatever the caller passes."""
    observation = grid(np.random.default_rng(3))
    probabilities = []
    for reward in (0.0, 9.0):
        agent.reset(1, "babyai-go-to-obj")
        agent.act(observation, reward)
        probabilities.append(agent.last.probabilities)
    np.testing.assert_array_equal(*probabilities)


@pytest.mark.parametrize("policy, context", [("recompute", 16), ("published", 8)])
def test_endless_episodes(agent, policy, context):
    settings, rng = AgentSettings(cache_policy=policy), np.random.default_rng(4)
    other = Agent(agent.model, agent.tokenizer, settings=settings)
    other.reset(1, "babyai-go-to-obj")
    assert other.memory.context == context
    assert all(0 <= other.act(grid(rng)) < 7 for _ in range(70))


def test_context_limits_what_is_remembered(agent):
    short, rng = Agent(agent.model, agent.tokenizer, context=2), np.random.default_rng(4)
    short.reset(1, "babyai-go-to-obj")
    held = []
    for _ in range(6):
        short.act(grid(rng))
        held.append(int((short.last.key_index[0] % 2 == 0).sum()))  # observations
    assert held == [1, 2, 2, 2, 2, 2]


def test_a_domain_may_have_shorter_windows(agent):
    """An agent trained on short windows in one domain remembers as much there, and all that fits
    elsewhere; its own context may be shorter still.
    """
    settings = AgentSettings(windows={"babyai": 4})
    for context, expected in (
        (None, {"babyai-go-to-obj": 4, "mujoco-ant": agent.model.config.max_timesteps}),
        (3, {"babyai-go-to-obj": 3, "mujoco-ant": 3}),
    ):
        short = Agent(agent.model, agent.tokenizer, settings=settings, context=context)
        for task, timesteps in expected.items():
            short.reset(1, task)
            assert short.memory.context == timesteps


GOOD = {"discrete_observation": np.ones(148, dtype=np.int64), "text_observation": "go"}


@pytest.mark.parametrize(
    "observation, message",
    [
        (
            {"continuous_observation": np.zeros(3)},
            "a dict with 'discrete_observation'; got continuous_observation",
        ),
        (np.zeros(148), "got ndarray"),
        (GOOD | {"discrete_observation": np.ones(147, dtype=int)}, r"shape \(148,\), not \(147,\)"),
        (GOOD | {"discrete_observation": np.ones(148)}, "holds integers, not float64"),
        ({"discrete_observation": np.ones(148, dtype=int)}, "mission as a string"),
    ],
)
def test_wrong_observations_are_told(agent, observation, message):
    agent.reset(1, "babyai-go-to-obj")
    with pytest.raises(ValueError, match=message):
        agent.act([observation], [0.0])


def test_a_diverged_environment_is_told(agent):
    agent.reset(1, "metaworld-reach")
    with pytest.raises(ValueError, match="NaN or infinity"):
        agent.act({"continuous_observation": np.full(39, np.nan)})
    with pytest.raises(ValueError, match="rewards must be finite"):
        agent.act([{"continuous_observation": np.zeros(39)}], [np.inf], [False])


@pytest.mark.parametrize(
    "value, message",
    [
        (["a"] * 39, "continuous_observation of metaworld-reach holds numbers, not <U1"),
        ([[1], [1, 2]], r"continuous_observation of metaworld-reach has shape \(39,\), not \(\)"),
        (np.full(39, 1e12), "holds numbers from 1e.12 to 1e.12: expected at most 1e.09"),
    ],
)
def test_what_are_no_vectors_is_told(agent, value, message):
    agent.reset(1, "metaworld-reach")
    with pytest.raises(ValueError, match=message):
        agent.act({"continuous_observation": value})


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"rewards": [[0.0], [0.0]]}, r"rewards have shape \(2, 1\): expected one number for each"),
        ({"rewards": ["much", 0.0]}, "rewards must be finite numbers of at most 1e.09, not .*much"),
        ({"rewards": None}, "rewards must be finite numbers"),
        ({"rewards": [0.0, 1e300]}, "rewards must be finite numbers"),
        ({"rewards": [0.0]}, "2 observations, 1 rewards, 2 starts"),
        ({"starts": [0.5, 1]}, "starts is .*: expected True or False for each environment"),
        ({"starts": True}, "starts is True: expected True or False for each environment"),
        ({"seeds": [1]}, r"seeds is \[1\]: expected one seed or None for each of the 2"),
        ({"seeds": 3}, "seeds is 3: expected one seed"),
        ({"seeds": [-1, None], "starts": [True, True]}, "seeds is -1: expected a whole number"),
        ({"observations": iter([GOOD, GOOD])}, "observations is a list_iterator: expected a list"),
        ({"observations": [GOOD, GOOD | {"text_observation": "\ud800"}]}, "half a character"),
        (
            {"observations": [GOOD, GOOD | {"discrete_observation": np.full(148, -1)}]},
            "discrete_observation of babyai-go-to-obj holds numbers from -1 to -1: expected no neg",
        ),
        (
            {"observations": [GOOD, GOOD | {"discrete_observation": np.full(148, 5000)}]},
            "discrete_observations holds 5000, expected integers from 0 to 3,071",
        ),
    ],
)
def test_wrong_arguments_of_act_are_told(agent, arguments, message):
    """And a call that was refused changes nothing of what is remembered."""
    agent.reset(2, "babyai-go-to-obj")
    agent.act([GOOD, GOOD])
    with pytest.raises(ValueError, match=message):
        agent.act(**{"observations": [GOOD, GOOD], "rewards": [0.0, 0.0]} | arguments)
    assert agent.memory.time.tolist() == [1, 1]
    agent.act([GOOD, GOOD], [0.0, 0.0])


def test_acting_comes_after_reset(agent):
    with pytest.raises(ValueError, match="agent.act comes after agent.reset"):
        Agent(agent.model, agent.tokenizer).act(GOOD)
    for n in (0, 1.5, "two"):
        with pytest.raises(ValueError, match="expected a whole number of at least 1"):
            agent.reset(n, "babyai-go-to-obj")


def test_a_wrong_number_is_told(agent):
    agent.reset(2, "babyai-go-to-obj")
    with pytest.raises(ValueError, match="reset for 2 environments; it got 1 observations"):
        agent.act([GOOD], [0.0], [True])
    with pytest.raises(ValueError, match="needs the task"):
        agent.reset(2)


def test_rollout_returns_an_episode_with_its_attention(agent):
    env = jatlab.make_env("babyai-go-to-obj", seed=5)
    episode = jatlab.rollout(agent, env, seed=5, max_steps=20, record_attention=True, render=True)
    n = episode["length"]
    assert (
        episode["discrete_observations"].shape == (n, 148)
        and len(episode["text_observations"]) == n
    )
    assert episode["discrete_actions"].shape == episode["rewards"].shape == (n,)
    assert episode["return"] == pytest.approx(episode["rewards"].sum())
    assert len(episode["frames"]) == n + 1 and episode["frames"][0].dtype == np.uint8
    for t, weights in enumerate(episode["attentions"][:16]):
        assert weights.shape == (2, 6, 2 * t + 1)
        np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


@pytest.mark.parametrize("task", ["babyai-go-to-obj", "metaworld-reach"])
def test_the_random_agent_stays_within_the_action_space(task):
    env = jatlab.make_env(task, seed=0)
    episode = jatlab.rollout(RandomAgent(), env, seed=0, max_steps=10)
    assert all(
        env.action_space.contains(action) for action in episode[f"{env.task.action}_actions"]
    )


class Boasting(Agent):
    """An agent of one's own, with its own constructor and attributes."""

    def __init__(self, words):
        super().__init__(jatlab.JatModel(jatlab.JatConfig.preset("nano")))
        self.words = words

    def act(self, observations, *more, **how):
        return self.words


def test_a_subclass_travels_with_what_it_has():
    agent = Boasting("I win")
    agent.record_attention = True
    agent.seed(7)
    agent.reset(2, "babyai-go-to-obj")
    copy = pickle.loads(pickle.dumps(agent))
    assert type(copy) is Boasting and copy.act([]) == "I win" and copy.record_attention
    assert not hasattr(copy, "memory") and hasattr(agent, "memory")
    weights = agent.model.state_dict()
    for name, value in copy.model.state_dict().items():
        assert torch.equal(value, weights[name]), name


def test_an_agent_that_is_trained_on_acts_with_its_new_weights():
    """Also after a fused step, whose changes PyTorch does not count."""
    agent = Agent.untrained("nano", seed=0)
    observation = {"continuous_observation": np.zeros(39, np.float32)}
    agent.reset(1, "metaworld-reach")
    before = agent.act(observation)
    optimizer = torch.optim.AdamW(agent.model.parameters(), lr=0.01, fused=True)
    batch = {
        "continuous_observations": torch.randn(1, 3, 39),
        "continuous_actions": torch.randn(1, 3, 4),
        "rewards": torch.zeros(1, 3),
    }
    agent.model(**batch).loss.backward()
    optimizer.step()
    after = agent.act(observation, starts=True)
    fresh = Agent(agent.model)
    fresh.reset(1, "metaworld-reach")
    np.testing.assert_allclose(after, fresh.act(observation), atol=1e-5)
    assert np.abs(after - before).max() > 1e-3
