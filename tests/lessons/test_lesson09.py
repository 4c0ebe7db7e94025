"""Lesson 09: solutions pass, and typical wrong answers are told their mistake."""

import math

import numpy as np
import pytest
import torch

from jatlab.agents.generation import nucleus
from jatlab.lessons.lesson09 import keep_top_p, to_map
from jatlab.lessons.lesson09_build import attend_new, greedy, read_token
from tests.support.exercises import exercise_tests


def diluted(logits, temperature):
    shares = logits.softmax(-1) / temperature
    return shares / shares.sum()


def short_of_top_p(probabilities, top_p):
    ordered, order = probabilities.sort(descending=True)
    kept, chosen = torch.zeros_like(probabilities), order[ordered.cumsum(0) <= top_p]
    kept[chosen] = probabilities[chosen]
    return kept / kept.sum()


def unsorted_top_p(probabilities, top_p):
    kept = probabilities * (probabilities.cumsum(0) - probabilities < 0.6)
    return kept / kept.sum()


def one_too_many(probabilities, top_p):
    return keep_top_p(probabilities, top_p + 1e-6)


def mean_of(nats):
    return torch.cat(nats).mean()


def mean_of_perplexities(nats):
    return sum(math.exp(document.mean()) for document in nats) / len(nats)


def perplexity_of_means(nats):
    return math.exp(sum(float(document.mean()) for document in nats) / len(nats))


def tempered_in_numpy(logits, temperature):
    exponents = np.exp(logits.numpy() / temperature)
    return exponents / exponents.sum()


def tempered_in_lists(logits, temperature):
    exponents = [math.exp(one / temperature) for one in logits.tolist()]
    return [one / sum(exponents) for one in exponents]


def top_p_in_a_loop(probabilities, top_p):
    kept, reached = [0.0] * len(probabilities), 0.0
    for index in sorted(range(len(kept)), key=lambda i: -probabilities[i]):
        kept[index] = float(probabilities[index])
        reached += kept[index]
        if reached >= top_p:
            break
    return [one / reached for one in kept]


def top_p_in_numpy(probabilities, top_p):
    p = probabilities.numpy()
    order = np.argsort(-p)
    count = np.searchsorted(np.cumsum(p[order]), top_p) + 1
    kept = np.where(np.isin(np.arange(len(p)), order[:count]), p, 0)
    return kept / kept.sum()


def perplexity_in_a_loop(nats):
    surprises = [float(one) for document in nats for one in document]
    return np.exp(np.mean(surprises))


def map_in_loops(weights, patches):
    side = math.isqrt(patches)
    last = [sum(float(head[-1, p]) for head in weights) / len(weights) for p in range(patches)]
    return [last[row * side : (row + 1) * side] for row in range(side)]


def map_in_numpy(weights, patches):
    return weights.numpy().mean(0)[-1, :patches].reshape(math.isqrt(patches), -1)


# --- 09.5: writing with a cache


def greedy_in_tensors(model, ids, count):
    text = torch.tensor([ids])
    for _ in range(count):
        following = model(input_ids=text, return_loss=False).logits[:, -1:].argmax(-1)
        text = torch.cat([text, following], dim=1)
    return text[0, len(ids) :]


def attend_by_torch(x, layer, past, window):
    past.append((layer.key(x), layer.value(x)))
    seen, heads = past[-window:] if window else past, layer.num_heads
    keys, values = (
        torch.stack(part).unflatten(-1, (heads, -1)) for part in zip(*seen, strict=True)
    )
    query = layer.query(x).reshape(1, heads, 1, -1)
    mixed = torch.nn.functional.scaled_dot_product_attention(
        query, keys.transpose(0, 1)[None], values.transpose(0, 1)[None], scale=1.0
    )
    return layer.output(mixed.flatten())


def read_by_torch(model, token, position, pasts):
    x = model.text_embedding(torch.tensor(token)) + model.trunk.positions(torch.tensor(position))
    for number, block in enumerate(model.trunk.blocks):
        window = model.config.window_size if block.attention.kind == "local" else None
        x = x + attend_by_torch(block.attention_norm(x), block.attention, pasts[number], window)
        x = x + block.mlp(block.mlp_norm(x))
    return model.token_decoder(model.trunk.norm(x)).numpy()


def greedy_in_one_loop(model, ids, count):
    pasts, written = [[] for _ in model.trunk.blocks], list(ids)
    for position in range(len(ids) + count - 1):
        logits = read_by_torch(model, written[position], position, pasts)
        if position >= len(ids) - 1:
            written.append(logits.argmax())
    return written[len(ids) :]


def same_token_again(model, ids, count):
    return [greedy(model, ids, 1)[0]] * count


def not_remembered(x, layer, past, window):
    return attend_new(x, layer, list(past), window)


def itself_alone(x, layer, past, window):
    past.append((layer.key(x), layer.value(x)))
    return layer.output(layer.value(x))


def at_position_0(model, token, position, pasts):
    return read_token(model, token, 0, pasts)


def one_past_for_all(model, token, position, pasts):
    return read_token(model, token, position, [pasts[0], pasts[0]])


DONE = (greedy, attend_new, read_token)
WRONG = {
    "09.5": [
        (lambda m, ids, n: [*ids, *greedy(m, ids, n)], "the new tokens alone"),
        (same_token_again, "put behind the text"),
        (lambda m, ids, n: greedy(m, ids[:2], n), "the likeliest after the last token"),
        ((greedy, not_remembered), "past.append"),
        ((greedy, lambda x, layer, past, w: attend_new(x, layer, past, None)), "not used"),
        ((greedy, lambda x, layer, past, w: attend_new(x, layer, past, w and w + 1)), "itself: it"),
        ((greedy, itself_alone), "sees itself alone"),
        ((*DONE[:2], at_position_0), "the position is missing"),
        ((*DONE[:2], one_past_for_all), "a past of its own"),
        ((*DONE, greedy), "the prompt once"),
    ],
    "09.1": [
        (lambda logits, t: (logits * t).softmax(-1), "multiplied by the temperature"),
        (diluted, "before softmax"),
        (lambda logits, t: logits / t, "softmax comes last"),
        (lambda logits, t: None, "nothing there yet"),
    ],
    "09.2": [
        (short_of_top_p, "does not reach 0.7"),
        (unsorted_top_p, "first tokens of the vocabulary"),
        (lambda p, top_p: keep_top_p(p, top_p) * 0.8, "add up to 1 again"),
        (lambda p, top_p: torch.where(p < 0.2, p, 0.0), "the unlikely ones"),
        (one_too_many, "no third token"),
    ],
    "09.3": [
        (mean_of, "raise e to it"),
        (lambda nats: 2 ** mean_of(nats), "to the base e"),
        (lambda nats: math.exp(torch.cat(nats).sum()), "the whole text"),
        (mean_of_perplexities, "mean of the documents' perplexities"),
        (perplexity_of_means, "every token should count the same"),
    ],
    "09.4": [
        (lambda w, patches: to_map(w, patches).T, "rows and columns are swapped"),
        (lambda w, patches: w[:, :patches, -1].mean(0).reshape(2, 2), "rows are queries"),
        (lambda w, patches: w[:, -1, -patches:].mean(0).reshape(2, 2), "the patches stand first"),
        (lambda w, patches: w[:, -1, :patches].sum(0).reshape(2, 2), "not their sum"),
        (lambda w, patches: w[:, -1, :patches].mean(0), "a map of shape (2, 2)"),
    ],
}
RIGHT = {
    "09.5": [
        (greedy_in_tensors, attend_by_torch, read_by_torch, greedy_in_one_loop),
        (greedy, attend_by_torch, read_token, greedy_in_one_loop),
    ],
    "09.1": [
        lambda logits, t: torch.nn.functional.softmax(logits.double() / t, dim=0),
        tempered_in_numpy,
        tempered_in_lists,
    ],
    "09.2": [top_p_in_a_loop, top_p_in_numpy],
    "09.3": [lambda nats: torch.exp(torch.cat(nats).mean()), perplexity_in_a_loop],
    "09.4": [map_in_loops, map_in_numpy],
}
test_right_answer, test_wrong_answer, test_any_container, test_anything, test_coverage = (
    exercise_tests("09", WRONG, RIGHT)
)


@pytest.mark.parametrize("top_p", [0.01, 0.3, 0.7, 0.95, 1.0])
def test_the_solution_of_top_p_is_what_generation_does(top_p):
    probabilities = torch.rand(50, generator=torch.Generator().manual_seed(1)).double().pow(3)
    probabilities /= probabilities.sum()
    package = nucleus(probabilities[None], top_p)[0]
    torch.testing.assert_close(keep_top_p(probabilities, top_p), package)
