"""Recorded attention, put together: rows of decisions equal the square of one plain forward pass,
also where the window has moved.
"""

import numpy as np
import pytest
import torch
from bertviz import head_view

import jatlab
from jatlab.agents.attention_record import for_bertviz, square, token_names
from jatlab.agents.rollout import RandomAgent


def tiny_agent(hidden: bool) -> jatlab.Agent:
    torch.manual_seed(0)
    config = jatlab.JatConfig.preset(
        "nano",
        num_layers=2,
        attention_types=[[["global", "local"], 1]],
        max_position_embeddings=32,
        window_size=6,
        hide_past_actions=hidden,
    )
    model = jatlab.JatModel(config)
    for weight in model.trunk.parameters():
        weight.data.add_(0.05 * torch.randn_like(weight))
    return jatlab.Agent(model)


@pytest.fixture(scope="module", params=[False, True], ids=["sees actions", "actions hidden"])
def played(request):
    agent = tiny_agent(request.param)
    env = jatlab.make_env("babyai-go-to-obj", seed=5, render_mode=None)
    return agent, jatlab.rollout(
        agent,
        env,
        seed=5,
        max_steps=24,
        record_attention=True,
        record_predictions=True,
        greedy=True,
    )


def plain_pass(agent, episode, timesteps):
    missions = agent.tokenizer.encode_batch(
        episode["text_observations"][:timesteps], agent.model.config.max_text_tokens
    )
    observations = np.concatenate([episode["discrete_observations"][:timesteps], missions], axis=1)
    rewards = np.concatenate([[0], episode["rewards"]])[:timesteps]
    with torch.no_grad():
        return agent.model(
            discrete_observations=torch.from_numpy(observations)[None],
            discrete_actions=torch.from_numpy(episode["discrete_actions"][:timesteps])[None],
            rewards=torch.from_numpy(rewards).float()[None],
            output_attentions=True,
        )


def test_the_square_is_that_of_one_forward_pass(played):
    agent, episode = played
    expected = np.concatenate(
        [weights.numpy() for weights in plain_pass(agent, episode, 10).attentions]
    )
    np.testing.assert_allclose(square(episode, 0, 10), expected, atol=1e-5)


def test_predictions_are_those_of_one_forward_pass(played):
    agent, episode = played
    output = plain_pass(agent, episode, 10)
    np.testing.assert_allclose(
        episode["probabilities"][:10], output.pred_actions[0, :, :7].softmax(-1), atol=1e-5
    )
    np.testing.assert_array_equal(
        episode["pred_observations"][:9], output.pred_observations[0, :9].argmax(-1)
    )
    assert len(episode["pred_observations"]) == episode["length"] - 1


def test_a_part_is_cut_out_of_the_whole_also_past_the_window(played):
    _, episode = played
    whole, part = square(episode), square(episode, 16, 22)
    assert whole.shape == (2, 6, 2 * episode["length"] - 1, 2 * episode["length"] - 1)
    np.testing.assert_array_equal(part, whole[:, :, 32:44, 32:44])
    assert (np.triu(whole, 1) == 0).all()
    np.testing.assert_allclose(whole[0, :, :31].sum(-1), 1, atol=1e-5)
    assert part[0, :, -1].sum() < 6  # its rows also saw what came before timestep 16
    assert (whole[1, :, np.arange(46), np.arange(46) * 0] == 0)[
        6:
    ].all()  # a local layer sees six tokens


def test_bertviz_gets_few_layers_named_tokens_and_short_numbers(played):
    agent, episode = played
    arguments = agent.attention_for_bertviz(episode, 2, 8, layers=[1])
    assert len(arguments["attention"]) == 1 and arguments["attention"][0].shape == (1, 6, 12, 12)
    assert arguments["tokens"][0] == "o2" and arguments["tokens"][-1].startswith("a7 ")
    assert all(len(str(weight)) <= 5 for weight in arguments["attention"][0].flatten().tolist())
    assert len(agent.attention_for_bertviz(episode)["attention"]) == 2
    view = head_view(**arguments, html_action="return")
    assert "o2" in view.data and len(view.data) < 100_000


def test_what_cannot_be_shown_is_a_clear_error(played):
    agent, episode = played
    long = {"attentions": [np.ones((2, 1, 1))] * 40, "action_attentions": [np.ones((2, 1, 2))] * 39}
    with pytest.raises(ValueError, match="40 timesteps are 79 tokens, and a bertviz page holds 64"):
        for_bertviz(long, 0, 40)
    assert len(for_bertviz(long)["tokens"]) == 64
    with pytest.raises(
        ValueError, match=r"layers \[2\]: expected 1 to 4 of 0 to 1 \(global, local\)"
    ):
        agent.attention_for_bertviz(episode, layers=[2])
    with pytest.raises(ValueError, match="record_attention=True"):
        agent.attention_for_bertviz({})
    with pytest.raises(ValueError, match="expected 0 <= start < stop <= 24"):
        square(episode, 5, 30)
    with pytest.raises(ValueError, match="RandomAgent computes neither"):
        jatlab.rollout(
            RandomAgent(),
            jatlab.make_env("babyai-go-to-obj", render_mode=None),
            seed=0,
            record_attention=True,
        )


def test_names_of_tokens():
    assert token_names(
        {"discrete_actions": np.array([2, 0])}, 0, 4, ["left", "right", "forward"]
    ) == ["o0", "a0 forward", "o1", "a1 left"]
    assert token_names({}, 3, 3) == ["o3", "a3", "o4"]
