"""Lesson 03, The whole model: solutions and checks."""

from __future__ import annotations

import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, expect, near, number, parts, whole
from jatlab.lessons.harness import Exercise
from jatlab.lessons.lesson03_build import (
    EMBED_STEPS,
    FORWARD_STEPS,
    check_embed,
    check_forward,
    embed,
    embed_actions,
    embed_observations,
    forward,
    hidden_states,
)

# --- 03.2: which hidden state predicts what ---


def split(hidden: Tensor) -> tuple[Tensor, Tensor]:
    """The hidden states that predict the actions, and those that predict the next observations.

    Hidden states (B, 2T, H) -> (B, T, H) each.
    """
    return hidden[:, ::2], hidden[:, 1::2]


def check_split(answer: Answer) -> None:
    """Check 03.2 with three timesteps, in which token i holds the number i."""
    hidden = torch.arange(6.0)[None, :, None].repeat(4, 1, 3)
    wanted = "return two tensors: for the actions, for the next observations"
    got = parts(answer(hidden), 2, wanted)
    for name, part in zip(("actions", "observations"), got, strict=True):
        expect(
            part.shape == (4, 3, 3),
            f"for the {name}: expected shape (4, 3, 3), one vector a timestep; "
            f"yours has {part.shape}",
        )
    actions, observations = (part[0, :, 0].tolist() for part in got)
    expect(
        (actions, observations) != ([0, 1, 2], [3, 4, 5]),
        "cut in halves: observation and action tokens alternate, so take every second one",
    )
    expect(
        actions != [1, 3, 5],
        "swapped: an action token already holds the action; "
        "the action is predicted from the observation token before it",
    )
    expect(actions == [0, 2, 4], f"actions are predicted from tokens 0, 2, 4; yours are {actions}")
    expect(
        observations == [1, 3, 5],
        f"next observations are predicted from tokens 1, 3, 5; yours are {observations}",
    )


# --- 03.4: the observation loss ---


def observation_loss(predicted: Tensor, observations: Tensor, mask: Tensor) -> Tensor:
    """Mean squared error of what each action token predicts, over valid timesteps.

    The action token of t predicts the observation of t + 1. Predicted and observations (B, T, n),
    mask (B, T).
    """
    error = (predicted[:, :-1] - observations[:, 1:]).square().mean(-1)  # (B, T - 1)
    return (error * mask[:, 1:]).sum() / mask[:, 1:].sum()


def check_observation_loss(answer: Answer) -> None:
    """Check 03.4 with perfect predictions, with padding, then with random numbers."""
    steps = torch.arange(4.0)[None, :, None].expand(1, 4, 2)  # observation t is (t, t)
    perfect = number(answer(steps + 1, steps, torch.ones(1, 4)))
    expect(
        not near(perfect, 1),
        "the prediction of t is compared with observation t: "
        "it speaks of t + 1, so shift one against the other",
    )
    expect(
        not near(perfect, 4),
        "shifted the wrong way: the prediction of t belongs to observation t + 1, not to t - 1",
    )
    expect(
        near(perfect, 0),
        "a prediction of t that equals observation t + 1 has no error, "
        f"yours has {perfect:g}; the last prediction has no target",
    )
    padded = steps.clone()
    padded[:, 3] = 100.0
    got = number(answer(steps + 1, padded, torch.tensor([[1.0, 1, 1, 0]])))
    expect(got < 100, "padding counts: multiply the error of t + 1 by the mask of t + 1")
    expect(
        near(got, 0),
        f"with padding left out the error is 0, yours is {got:g}: "
        "use the mask of t + 1, where the target is",
    )
    _check_observation_loss_of_random_numbers(answer)


def _check_observation_loss_of_random_numbers(answer: Answer) -> None:
    torch.manual_seed(0)
    predicted, observations = torch.randn(3, 5, 4), torch.randn(3, 5, 4)
    mask = torch.tensor([[1.0] * 5, [1, 1, 1, 0, 0], [1, 1, 0, 0, 0]])
    right = float(observation_loss(predicted, observations, mask))
    got = number(answer(predicted, observations, mask))
    expect(
        abs(got - 4 * right) > 1e-4,
        "a timestep's error is the mean over its numbers, not their sum",
    )
    expect(
        abs(got - right * 7 / 12) > 1e-4,
        "divided by all timesteps: divide by the number of valid ones, mask[:, 1:].sum()",
    )
    expect(
        abs(got - right * 7 / 10) > 1e-4,
        "divided by mask.sum(), which counts the first timesteps too: they are nobody's target",
    )
    expect(
        abs(got - right) < 1e-4, f"on random numbers the loss is {right:.4f}, yours is {got:.4f}"
    )


# --- 03.5: parameters of a block ---


def block_parameters(h: int) -> int:
    """The number of parameters of one GPT-Neo block of width h.

    It has four projections, of which only the last has a bias, an MLP of width 4 h, and two norms.
    """
    attention = 3 * h * h + (h * h + h)  # query, key and value without bias; the output with one
    mlp = (h * 4 * h + 4 * h) + (4 * h * h + h)
    norms = 2 * (h + h)
    return attention + mlp + norms


def check_block_parameters(answer: Answer) -> None:
    """Check 03.5 with the paper's width, then with another."""
    h = 768
    right, matrices = block_parameters(h), 12 * h * h
    found = whole(answer(h), "the number of parameters is a whole number")
    expect(
        found != right + 3 * h,
        "you gave query, key and value a bias: in GPT-Neo only the output projection has one",
    )
    expect(
        found != right - h,
        "one bias of size h is missing: the attention's output has one, "
        "the only one of its four, and so has the MLP's",
    )
    expect(
        found != right - 4 * h,
        "the two layer norms are missing: each has a scale and a shift of h numbers",
    )
    expect(
        found != right - 2 * h, "a layer norm has a scale *and* a shift, and a block has two norms"
    )
    expect(
        found != right - 5 * h,
        "the MLP's two linear layers have biases: one of 4h numbers, one of h",
    )
    expect(found != matrices, "12 h² are the matrices alone: count biases and norms too")
    expect(
        found > matrices,
        f"{found:,} is too few: the matrices have 12 h² = {matrices:,} (attention 4 h², MLP 8 h²)",
    )
    expect(
        found == right,
        f"a block of width 768 has {right:,} parameters; "
        f"yours comes to {found:,}, which is {found - right:+,}",
    )
    expect(
        whole(answer(192)) == block_parameters(192),
        "right for 768, wrong for 192: every size should follow from h",
    )


# --- 03.6: training FLOPs of a trunk ---


def trunk_training_flops(layers: int, h: int, tokens: int) -> int:
    """FLOPs of a forward and a backward pass of a trunk over one sequence."""
    linear = 2 * tokens * 12 * h * h  # a multiplication and an addition for each weight and token
    attention = 4 * h * tokens * tokens  # scores and mixing: 2 h each, for every pair of tokens
    return 3 * layers * (linear + attention)  # the backward pass costs two forward passes


def check_trunk_training_flops(answer: Answer) -> None:
    """Check 03.6 with a small trunk, then with the paper's."""
    layers, h, tokens = 5, 8, 10
    right = trunk_training_flops(layers, h, tokens)
    linear, attention = 2 * tokens * 12 * h * h * layers, 4 * h * tokens * tokens * layers
    got = number(answer(layers, h, tokens))
    expect(
        not near(got, right / 3),
        "that is the forward pass alone: the backward pass costs twice as much again",
    )
    expect(not near(got, right / layers), "that is one layer: there are more")
    expect(
        not near(got, right * 2 / 3),
        "forward + backward is three forward passes: "
        "each product has two products in the backward pass",
    )
    expect(not near(got, right / 2), "a multiplication and an addition are two FLOPs")
    expect(not near(got, 3 * linear), "attention is missing: 4 h for every pair of tokens")
    expect(
        not near(got, 3 * (linear + attention / 2)),
        "attention has two products over all pairs: the scores, and the mixing of values",
    )
    expect(near(got, right), f"5 layers, width 8, 10 tokens: {right:,} FLOPs, yours {got:,.0f}")
    expect(
        near(number(answer(12, 768, 512)), trunk_training_flops(12, 768, 512)),
        "right for 10 tokens, wrong for 512: how does each part grow with the tokens?",
    )


EXERCISES = {
    "03.1": Exercise(
        difficulty=3,
        importance=5,
        minutes=20,
        solution=(embed_observations, embed_actions, embed),
        check=check_embed,
        steps=EMBED_STEPS,
    ),
    "03.2": Exercise(difficulty=1, importance=5, minutes=4, solution=split, check=check_split),
    "03.3": Exercise(
        difficulty=4,
        importance=5,
        minutes=20,
        solution=(hidden_states, forward),
        check=check_forward,
        steps=FORWARD_STEPS,
    ),
    "03.4": Exercise(
        difficulty=3,
        importance=4,
        minutes=10,
        solution=observation_loss,
        check=check_observation_loss,
    ),
    "03.5": Exercise(
        difficulty=2,
        importance=3,
        minutes=8,
        solution=block_parameters,
        check=check_block_parameters,
    ),
    "03.6": Exercise(
        difficulty=3,
        importance=3,
        minutes=10,
        solution=trunk_training_flops,
        check=check_trunk_training_flops,
    ),
}
