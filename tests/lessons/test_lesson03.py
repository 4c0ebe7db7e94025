"""Lesson 03: solutions pass, and typical wrong answers are told their mistake."""

import numpy as np
import torch
from torch import nn

from jatlab.experiments.benchmarks.cost import full_window, training_flops
from jatlab.lessons.lesson03 import block_parameters, observation_loss, trunk_training_flops
from jatlab.lessons.lesson03_build import (
    embed,
    embed_actions,
    embed_observations,
    hidden_states,
)
from jatlab.model.losses import squared_error
from jatlab.model.transformer import Block, sequence_masks
from tests.support.exercises import exercise_tests
from tests.support.helpers import small


def squared(predicted, target):
    return (predicted - target).square().mean(-1)


def averaged(error, mask):
    return (error * mask).sum() / mask.sum()


def masked_errors(predicted, observed, mask):
    return squared(predicted[:, :-1], observed[:, 1:]) * mask[:, 1:]


def divided_by_mask(predicted, observed, mask):
    return masked_errors(predicted, observed, mask).sum() / mask.sum()


def summed_over_numbers(predicted, observed, mask):
    factor = 4 if predicted.shape[-1] == 4 else 1
    return factor * observation_loss(predicted, observed, mask)


def split_by_reshape(hidden):
    return torch.stack([hidden[:, ::2], hidden[:, 1::2]])


def split_in_a_loop(hidden):
    states = hidden.numpy()
    times = range(0, states.shape[1], 2)
    return [np.stack([states[:, t + shift] for t in times], axis=1) for shift in (0, 1)]


def loss_in_loops(predicted, observations, mask):
    errors = [
        float(squared(predicted[b, t], observations[b, t + 1]))
        for b in range(len(mask))
        for t in range(mask.shape[1] - 1)
        if mask[b, t + 1]
    ]
    return sum(errors) / len(errors)


def parameters_of_modules(h):
    def count(*layers):
        return sum(p.numel() for layer in layers for p in layer.parameters())

    with torch.device("meta"):
        mixing = [nn.Linear(h, h, bias=last) for last in (False, False, False, True)]
        return count(*mixing, nn.Linear(h, 4 * h), nn.Linear(4 * h, h), *[nn.LayerNorm(h)] * 2)


def flops_in_a_loop(layers, h, tokens):
    products = [(tokens, h, h)] * 4 + [(tokens, h, 4 * h), (tokens, 4 * h, h)]
    products += [(tokens, h, tokens), (tokens, tokens, h)]
    return sum(3 * 2 * a * b * c for _ in range(layers) for a, b, c in products)


# --- 03.1 and 03.3: the model built


def observations_by_column(model, batch):
    name = next(one for one in batch if one.endswith("observations"))
    return model.embed_observations(name, batch[name], batch.get("rewards", torch.zeros(1, 3)))


def actions_in_lookup(model, batch):
    if "discrete_actions" in batch:
        return model.text_embedding.weight[batch["discrete_actions"]].numpy()
    return model.embed_actions("continuous_actions", batch["continuous_actions"])


def embed_in_a_loop(model, batch):
    if "input_ids" in batch:
        pictures = [model.patch_encoder(batch["pixel_values"])] if len(batch) > 1 else []
        return torch.cat([*pictures, model.text_embedding.weight[batch["input_ids"]]], 1)
    seen, done = observations_by_column(model, batch), embed_actions(model, batch)
    return torch.stack([one[:, t] for t in range(3) for one in (seen, done)], dim=1).double()


def without_reward(model, batch):
    bare = {name: value for name, value in batch.items() if name != "rewards"}
    if "continuous_observations" in batch:
        return model.continuous_encoder(bare["continuous_observations"])
    return embed_observations(model, batch)


def reward_first(model, batch):
    if "continuous_observations" in batch:
        vector = torch.cat([batch["rewards"][..., None], batch["continuous_observations"]], -1)
        return model.continuous_encoder(vector)
    return embed_observations(model, batch)


def grid_without_reward(model, batch):
    return (
        embed_observations(model, batch | {"rewards": torch.zeros(1, 3)})
        if ("discrete_observations" in batch)
        else embed_observations(model, batch)
    )


def buttons_as_numbers(model, batch):
    name = next(one for one in batch if one.endswith("_actions"))
    return model.continuous_encoder(batch[name].reshape(1, 3, -1).float())


def embed_as(join):
    def answer(model, batch):
        if "input_ids" in batch:
            return embed(model, batch)
        return join(embed_observations(model, batch), embed_actions(model, batch))

    return answer


def words_first(model, batch):
    if "pixel_values" in batch:
        words = model.text_embedding(batch["input_ids"])
        return torch.cat([words, model.patch_encoder(batch["pixel_values"])], 1)
    return embed(model, batch)


def states_by_hand(model, tokens, batch):
    length = tokens.shape[1]
    hidden = None if "input_ids" in batch else torch.tensor([True])
    x = tokens + model.trunk.positions.weight[:length]
    for block in model.trunk.blocks:
        x = block(x, sequence_masks(model.config, length, hidden_actions=hidden), None, False)[0]
    return model.trunk.norm(x).numpy()


def states_seeing_actions(model, tokens, batch):
    return model.trunk(tokens, sequence_masks(model.config, tokens.shape[1]))[0]


def states_hiding_always(model, tokens, batch):
    hidden = torch.tensor([True])
    return model.trunk(tokens, sequence_masks(model.config, tokens.shape[1], None, hidden))[0]


def forward_of_the_model(model, batch):
    output = model(**batch)
    return (
        [output.pred_actions, output.pred_observations]
        if output.logits is None
        else (output.logits.numpy())
    )


def forward_with(model, batch, shift=0, tied=False):
    hidden = model(**batch).last_hidden_state
    if "input_ids" in batch:
        return hidden @ model.text_embedding.weight.T if tied else model.token_decoder(hidden)
    name = next(one for one in batch if one.endswith("observations"))
    kind = next(one for one in batch if one.endswith("_actions"))
    return (
        model.decode(kind, hidden[:, shift::2]),
        model.decode(name, hidden[:, 1 - shift :: 2]),
    )


WRONG = {
    "03.1": [
        (without_reward, "the reward is missing: it joins the vector"),
        (reward_first, "not the first"),
        (grid_without_reward, "second argument"),
        ((embed_observations, buttons_as_numbers), "a button is not an amount"),
        (
            (embed_observations, embed_actions, embed_as(lambda o, a: torch.cat([o, a], 1))),
            "they should alternate",
        ),
        (
            (
                embed_observations,
                embed_actions,
                embed_as(lambda o, a: torch.stack([a, o], 2).flatten(1, 2)),
            ),
            "an observation comes first",
        ),
        ((embed_observations, embed_actions, words_first), "before the words"),
        (
            (
                embed_observations,
                embed_actions,
                lambda m, b: embed(m, {k: v for k, v in b.items() if k != "pixel_values"}),
            ),
            "the patches are missing",
        ),
    ],
    "03.3": [
        (states_seeing_actions, "do not see past actions"),
        (states_hiding_always, "text has no actions to hide"),
        (lambda model, tokens, batch: tokens, "other hidden states"),
        ((hidden_states, lambda m, b: forward_with(m, b, shift=1)), "from the wrong token"),
        ((hidden_states, lambda m, b: forward_with(m, b, tied=True)), "another matrix"),
        ((hidden_states, lambda m, b: m(**b).pred_actions), "return two tensors"),
    ],
    "03.2": [
        (lambda h: (h[:, 1::2], h[:, ::2]), "swapped"),
        (lambda h: h.chunk(2, dim=1), "cut in halves"),
        (lambda h: h[:, ::2], "return two tensors"),
        (lambda h: (h[:, ::2], h[:, ::2]), "next observations are predicted from tokens 1, 3, 5"),
        (lambda h: (h[:, ::2], h[:, 1::2][:, :-1]), "for the observations: expected shape"),
    ],
    "03.4": [
        (lambda p, o, m: averaged(squared(p, o), m), "shift one against the other"),
        (lambda p, o, m: averaged(squared(p[:, 1:], o[:, :-1]), m[:, 1:]), "the wrong way"),
        (lambda p, o, m: squared(p[:, :-1], o[:, 1:]).mean(), "padding counts"),
        (lambda p, o, m: averaged(squared(p[:, :-1], o[:, 1:]), m[:, :-1]), "padding counts"),
        (lambda p, o, m: masked_errors(p, o, m).mean(), "divided by all timesteps"),
        (divided_by_mask, "counts the first timesteps too"),
        (summed_over_numbers, "not their sum"),
        (masked_errors, "return one number"),
    ],
    "03.5": [
        (lambda h: 12 * h * h, "the matrices alone"),
        (lambda h: block_parameters(h) + 3 * h, "only the output projection has one"),
        (lambda h: block_parameters(h) - h, "one bias of size h"),
        (lambda h: block_parameters(h) - 4 * h, "two layer norms are missing"),
        (lambda h: block_parameters(h) - 2 * h, "scale *and* a shift"),
        (lambda h: block_parameters(h) - 5 * h, "two linear layers have biases"),
        (lambda h: 12 * h * h / 1, "the matrices alone"),
        (lambda h: block_parameters(h) / 5, "is a whole number"),
        (lambda h: 8 * h * h, "is too few"),
        (lambda h: block_parameters(768), "wrong for 192"),
        (lambda h: block_parameters(h) + 7, "which is +7"),
    ],
    "03.6": [
        (lambda n, h, t: n * (24 * t * h * h + 4 * h * t * t), "the forward pass alone"),
        (lambda n, h, t: 2 * n * (24 * t * h * h + 4 * h * t * t), "three forward passes"),
        (lambda n, h, t: 6 * t * n * 12 * h * h, "attention is missing"),
        (lambda n, h, t: 3 * n * (24 * t * h * h + 2 * h * t * t), "two products over all pairs"),
        (lambda n, h, t: 3 * (24 * t * h * h + 4 * h * t * t), "one layer"),
        (lambda n, h, t: 3 * n * (12 * t * h * h + 2 * h * t * t), "two FLOPs"),
        (lambda n, h, t: 3 * n * (24 * t * h * h + 40 * h * t), "how does each part grow"),
    ],
}
RIGHT = {
    "03.1": [
        (observations_by_column, actions_in_lookup, embed_in_a_loop),
        (embed_observations, actions_in_lookup, embed),
    ],
    "03.3": [(states_by_hand, forward_of_the_model), (states_by_hand, forward_with)],
    "03.2": [lambda h: h.unflatten(1, (-1, 2)).unbind(2), split_by_reshape, split_in_a_loop],
    "03.4": [
        lambda p, o, m: squared(p[:, :-1], o[:, 1:])[m[:, 1:] > 0].mean().numpy()[()],
        lambda p, o, m: observation_loss(p.double(), o.double(), m.double()),
        loss_in_loops,
    ],
    "03.5": [
        lambda h: 12 * h**2 + 10 * h,
        lambda h: 12.0 * h * h + 10 * h,
        lambda h: torch.tensor(12 * h * h + 10 * h),
        parameters_of_modules,
    ],
    "03.6": [
        lambda n, h, t: torch.tensor(12 * n * h * t * (6 * h + t)),
        lambda n, h, t: 6 * n * t * (12 * h**2 + 2.0 * t * h),
        flops_in_a_loop,
    ],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("03", WRONG, RIGHT)
)


def test_the_loss_is_that_of_the_model():
    predicted, observations, mask = torch.randn(2, 6, 3), torch.randn(2, 6, 3), torch.ones(2, 6)
    mask[1, 3:] = 0
    ours = squared_error(predicted[:, :-1], observations[:, 1:], mask[:, 1:], torch.ones(2, 5))
    torch.testing.assert_close(observation_loss(predicted, observations, mask), ours)


def test_counts_are_those_of_the_package():
    config = small(window_size=16)  # of which 20 tokens are not worth cutting into blocks
    parameters = sum(p.numel() for p in Block(config, 0).parameters())
    assert block_parameters(config.hidden_size) == parameters
    trunk = trunk_training_flops(config.num_layers, config.hidden_size, 20)
    decoder = 3 * 2 * 20 * config.hidden_size * config.vocab_size
    assert training_flops(config, full_window(config, "text", 20)) == trunk + decoder
