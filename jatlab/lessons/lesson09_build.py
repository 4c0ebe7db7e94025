"""Exercise 09.5: writing a text with a cache of keys and values, built in four steps.

Every step is compared with a small `JatModel`. Letters: H hidden size, N heads, D = H / N, S tokens
remembered, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.lessons.answers import Answer, array, expect, near
from jatlab.lessons.lesson03_build import small_model
from jatlab.model.transformer import sequence_masks

Past = list[tuple[Tensor, Tensor]]  # the key and the value (H,) of each token so far
PROMPT, COUNT = [3, 7, 1, 4, 4], 6

# --- one right answer of each step


def greedy(model: Any, ids: Sequence[int], count: int) -> list[int]:
    """The `count` likeliest next tokens, one after the other; the whole text is read for each."""
    written = list(ids)
    for _ in range(count):
        logits = model(input_ids=torch.tensor([written]), return_loss=False).logits[0, -1]  # (V,)
        written.append(int(logits.argmax()))
    return written[len(ids) :]


def attend_new(x: Tensor, layer: Any, past: Past, window: int | None) -> Tensor:
    """What a new token (H,) collects from the tokens so far and from itself: (H,).

    Its own key and value are added to `past`. A local layer sees the last `window` tokens only.
    """
    past.append((layer.key(x), layer.value(x)))
    seen = past if window is None else past[-window:]
    heads = (layer.num_heads, -1)
    query = layer.query(x).reshape(heads)  # (N, D)
    keys = torch.stack([key.reshape(heads) for key, _ in seen], dim=1)  # (N, S, D)
    values = torch.stack([value.reshape(heads) for _, value in seen], dim=1)  # (N, S, D)
    weights = (keys @ query[..., None]).softmax(dim=1)  # (N, S, 1)
    return layer.output((weights * values).sum(1).flatten())


def read_token(model: Any, token: int, position: int, pasts: list[Past]) -> Tensor:
    """Read one token with what each layer remembers: the logits (V,) of the next one."""
    trunk = model.trunk
    x = model.text_embedding.weight[token] + trunk.positions.weight[position]  # (H,)
    for block, past in zip(trunk.blocks, pasts, strict=True):
        window = model.config.window_size if block.attention.kind == "local" else None
        x = x + attend_new(block.attention_norm(x), block.attention, past, window)
        x = x + block.mlp(block.mlp_norm(x))
    return model.token_decoder(trunk.norm(x))


def greedy_cached(model: Any, ids: Sequence[int], count: int) -> list[int]:
    """The same tokens as `greedy`, but each token is read once."""
    pasts: list[Past] = [[] for _ in model.trunk.blocks]
    for position, token in enumerate(ids):
        logits = read_token(model, token, position, pasts)
    written = [int(logits.argmax())]
    while len(written) < count:
        logits = read_token(model, written[-1], len(ids) + len(written) - 1, pasts)
        written.append(int(logits.argmax()))
    return written


STEPS = ("without a cache", "attention with a past", "one token", "with the cache")


def check_generation(
    plain: Answer,
    attend: Answer | None = None,
    read: Answer | None = None,
    cached: Answer | None = None,
) -> None:
    """Check 09.5: the first step alone, or with the later ones."""
    model, _ = small_model()
    with torch.no_grad():
        _check_tokens(plain(model, list(PROMPT), COUNT), model, "step 1")
        if attend is not None:
            _check_attend(attend, model)
        if read is not None:
            _check_read(read, model)
        if cached is not None:
            _check_cached(cached, model)


def _check_tokens(answer: object, model: Any, step: str) -> None:
    wanted = f"{step}: return the {COUNT} new tokens, a list of whole numbers"
    found, right = array(answer, wanted), greedy(model, PROMPT, COUNT)
    expect(
        found.shape != (len(PROMPT) + COUNT,),
        f"{step}: the prompt is part of what you return: return the new tokens alone",
    )
    expect(found.shape == (COUNT,), f"{wanted}; yours has the shape {found.shape}")
    expect(
        found[0] == right[0],
        f"{step}: the first token should be {right[0]}, yours is {found[0]:g}: the likeliest "
        "after the last token of the prompt",
    )
    expect(
        found.tolist() == right,
        f"{step}: the tokens should be {right}, yours are {found.tolist()}: each new token is put "
        "behind the text before the next one is asked for",
    )


def _check_attend(answer: Answer, model: Any) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        x = torch.randn(6, model.config.hidden_size)
    masks = sequence_masks(model.config, len(x))
    for layer, window in ((model.trunk.blocks[0].attention, None), _local(model)):
        right = layer(x[None], masks)[0][0]  # (6, H)
        past: Past = []
        got = [_collected(answer, one, layer, past, window, right) for one in x]
        name = f"step 2, {layer.kind} layer"
        if window is not None:
            expect(
                not near(got[-1], _all_seen(x, layer, len(x))), f"{name}: the window is not used"
            )
            expect(
                not near(got[-1], _all_seen(x, layer, window + 1)),
                f"{name}: the window counts the token itself: it sees {window} tokens, not "
                f"{window + 1}",
            )
        expect(
            not near(got[-1], layer.output(layer.value(x[-1]))),
            f"{name}: the token sees itself alone: use all of `past`",
        )
        for place, one in enumerate(got):
            expect(
                near(one, right[place]),
                f"{name}, token {place}: other numbers than JatModel's attention",
            )


def _collected(
    answer: Answer, x: Tensor, layer: Any, past: Past, window: int | None, right: Tensor
) -> np.ndarray:
    """The answer for one more token, which has to be remembered."""
    before = len(past)
    wanted = f"step 2: return a vector of {right.shape[1]} numbers"
    got = array(answer(x.clone(), layer, past, window), wanted)
    expect(got.shape == right.shape[1:], f"{wanted}; yours has {got.shape}")
    expect(
        len(past) == before + 1,
        f"step 2: `past` has {len(past)} entries after {before + 1} tokens: add the token's own "
        "key and value, past.append((key, value)), so that later tokens find them",
    )
    return got


def _local(model: Any) -> tuple[Any, int]:
    return model.trunk.blocks[1].attention, model.config.window_size


def _all_seen(x: Tensor, layer: Any, most: int) -> Tensor:
    """What the last token would collect if it saw the last `most` tokens."""
    past: Past = [(layer.key(one), layer.value(one)) for one in x[:-1]]
    return attend_new(x[-1], layer, past, most)


def _check_read(answer: Answer, model: Any) -> None:
    right = model(input_ids=torch.tensor([PROMPT]), return_loss=False).logits[0]  # (S, V)
    pasts: list[Past] = [[] for _ in model.trunk.blocks]
    for place, token in enumerate(PROMPT):
        wanted = f"step 3, token {place}: return {right.shape[1]} logits"
        got = array(answer(model, token, place, pasts), wanted)
        expect(got.shape == right[place].shape, f"{wanted}; yours has {got.shape}")
        expect(
            all(len(past) == place + 1 for past in pasts),
            f"step 3: after {place + 1} tokens the layers remember {[len(p) for p in pasts]}: each "
            "layer has a past of its own",
        )
        if place:
            unplaced = read_token(model, token, 0, [list(past[:-1]) for past in pasts])
            expect(
                not near(got, unplaced),
                f"step 3, token {place}: the position is missing, or always 0",
            )
        expect(near(got, right[place]), f"step 3, token {place}: other logits than JatModel's")


def _check_cached(answer: Answer, model: Any) -> None:
    with _counted(model) as rows:
        raw = answer(model, list(PROMPT), COUNT)
    _check_tokens(raw, model, "step 4")
    most = len(PROMPT) + COUNT
    expect(
        sum(rows) <= most,
        f"step 4: the right tokens, but {sum(rows)} tokens were read for a text of {most}: the "
        "prompt once, then only the token that was just written",
    )


@contextmanager
def _counted(model: Any) -> Iterator[list[int]]:
    """How many tokens pass the first layer's MLP, one number a call."""
    rows: list[int] = []

    def listen(module: Any, given: tuple) -> None:
        rows.append(int(np.prod(given[0].shape[:-1])))

    hook = model.trunk.blocks[0].mlp.up.register_forward_pre_hook(listen)
    try:
        yield rows
    finally:
        hook.remove()
