"""Writing text: `jatlab.generate("The for statement")`, after a prompt and, if there is one, a
picture.

A text begins after an end mark, as every document does in training, and a picture's patches stand
before it. The prompt passes through the model once; from then on each token costs one step on the
key/value cache. When the positions are full, the later half of the text is read again from the
start, behind the picture, and writing goes on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from jatlab.model.attention import KeyValueCache
from jatlab.model.transformer import cache_masks
from jatlab.utils.checks import require

if TYPE_CHECKING:
    from jatlab.agents.agent import Agent
    from jatlab.model.tokenization import TextTokenizer


def generate(
    prompt: str,
    agent: Agent | str | os.PathLike = "demo",
    image=None,
    max_tokens: int = 64,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> str:
    """The text that the agent writes after ``prompt``, without the prompt: until it ends the text,
    or for ``max_tokens``.

    ``agent``: one that is loaded, or what `load_agent` takes. ``image``: a file, compressed bytes
    or a PIL picture, put before the text. ``temperature`` sharpens (below 1) or flattens what is
    drawn from, 0 takes the likeliest token; ``top_p`` draws from the fewest tokens that have this
    probability together. The same seed gives the same text. An empty prompt begins a document. Of a
    prompt longer than the model's positions its last tokens are read.

    Raises ValueError for a setting out of range, characters that the agent's tokenizer does not
    know, a picture of a wrong mode or one that leaves no position for text; FileNotFoundError for
    an agent or a file that is not there.
    """
    require(
        temperature >= 0, f"temperature is {temperature}: expected 0 (the likeliest token) or more"
    )
    require(0 < top_p <= 1, f"top_p is {top_p}: expected a share above 0, at most 1")
    require(max_tokens >= 1, f"max_tokens is {max_tokens}: expected at least 1")
    agent = _loaded(agent)
    ids = [agent.tokenizer.end_id, *encode_prompt(agent.tokenizer, prompt)]
    pixels = None if image is None else picture_tensor(agent, [image])
    generator = torch.Generator().manual_seed(seed)
    written: list[int] = []
    for (token,) in write(
        agent.model, [ids], pixels, lambda logits: draw(logits, temperature, top_p, generator)
    ):
        if token == agent.tokenizer.end_id:
            break
        written.append(token)
        if len(written) == max_tokens:
            break
    return agent.tokenizer.decode(ids + written)[len(agent.tokenizer.decode(ids)) :]


def _loaded(agent) -> Agent:
    if hasattr(agent, "model"):
        return agent
    from jatlab.agents.checkpoints import load_agent

    return load_agent(agent)


# --- in and out
# --------------------------------------------------------------------------------------------------------------


def encode_prompt(tokenizer: TextTokenizer, prompt: str) -> list[int]:
    """The ids of ``prompt``. Raises ValueError that names the characters which the tokenizer does
    not know: it would leave them out in silence.
    """
    try:
        encoding = tokenizer.tokenizer.encode(prompt)
    except (TypeError, UnicodeError):  # half of a surrogate pair
        broken = sorted({character for character in prompt if "\ud800" <= character <= "\udfff"})
        raise ValueError(
            f"the prompt holds {', '.join(map(ascii, broken))}, which are no characters but halves of one: decode the text anew, as UTF-8"
        ) from None
    lost = list(dict.fromkeys(_unknown(tokenizer.tokenizer, encoding, prompt)))[:10]
    require(
        not lost,
        f"the tokenizer does not know {', '.join(map(repr, lost))} of the prompt: leave them out, or use an agent whose vocabulary has all bytes",
    )
    return encoding.ids


def _unknown(tokenizer, encoding, prompt: str) -> list[str]:
    """Characters that became the unknown token, or that are alone nothing at all. (A library that
    drops a character also misplaces those behind it.)
    """
    unknown_token = getattr(tokenizer.model, "unk_token", None)
    if unknown_token is not None:
        unknown_id = tokenizer.token_to_id(unknown_token)
        return [
            character
            for token, (start, end) in zip(encoding.ids, encoding.offsets)
            if token == unknown_id
            for character in prompt[start:end]
        ]
    return [
        character
        for character in dict.fromkeys(prompt)
        if not character.isspace() and not tokenizer.encode(character).ids
    ]


def picture_tensor(agent: Agent, images: Sequence) -> Tensor:
    """Pictures (files, bytes, PIL) as the model takes them: float32 (B, 3, h, w) on its device."""
    import numpy as np

    from jatlab.data.pictures import normalise, open_picture, preprocess

    size = agent.model.config.image_size
    pixels = np.stack(
        [
            preprocess(
                open_picture(
                    image, str(image) if isinstance(image, str | os.PathLike) else "the picture"
                ),
                size,
            )
            for image in images
        ]
    )
    return normalise(torch.tensor(pixels).to(agent.device))


def draw(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    """One token a row from logits (B, V) -> (B,)."""
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = nucleus((logits.double() / temperature).softmax(-1).cpu(), top_p)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0].to(logits.device)


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens that together reach ``top_p``, the one that reaches it included;
    (B, V) -> (B, V), each row's sum 1.
    """
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(dim=-1, descending=True)
    beyond = ordered.cumsum(-1) - ordered >= top_p  # what comes before already reaches it
    kept = torch.zeros_like(probabilities).scatter(-1, order, ordered.masked_fill(beyond, 0.0))
    return kept / kept.sum(-1, keepdim=True)


# --- token by token
# ----------------------------------------------------------------------------------------------------------


def write(
    model, prompts: Sequence[Sequence[int]], pixels: Tensor | None, choose
) -> Iterator[list[int]]:
    """Without end: the next token of each of B prompts of one length, chosen by ``choose`` (logits
    (B, V) -> (B,)) and read in turn.

    ``pixels`` (B, 3, h, w) go before the texts. Raises ValueError for prompts that are empty or
    differ in length.
    """
    require(
        len({len(ids) for ids in prompts}) == 1 and len(prompts[0]) > 0,
        "prompts that are continued together have one length, at least 1",
    )
    reader = TextDecoder(model, len(prompts), pixels)
    tokens = torch.tensor(prompts, device=model.text_embedding.weight.device)  # (B, S)
    while True:
        tokens = choose(reader.read(tokens))[:, None]
        yield tokens[:, 0].tolist()


class TextDecoder:
    """What a model has read of B texts (of one length): `read` adds tokens and says what may come
    next.
    """

    def __init__(self, model, batch: int, pixels: Tensor | None = None):
        self.model, self.positions = model, model.config.max_position_embeddings
        weight = model.text_embedding.weight
        self.cache = KeyValueCache(
            model.config, batch, self.positions, device=weight.device, dtype=weight.dtype
        )
        with torch.inference_mode():
            self.patches = (
                weight.new_zeros(batch, 0, weight.shape[1])
                if pixels is None
                else model.patch_encoder(pixels)
            )  # (B, P, H)
        self.room = self.positions - self.patches.shape[1]  # for text
        require(
            self.room >= 2,
            f"a picture takes {self.patches.shape[1]} of the model's {self.positions} positions, which leaves no room for text",
        )
        self.text = torch.zeros(
            batch, 0, dtype=torch.long, device=weight.device
        )  # what the cache holds of it

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> Tensor:
        """Read ``tokens`` (B, S) behind all that was read before; logits (B, V) of what follows."""
        start = self.patches.shape[1] + self.text.shape[1] if self.text.shape[1] else 0
        self.text = torch.cat([self.text, tokens], dim=1)
        if self.text.shape[1] > self.room:
            self._move_window(tokens.shape[1])
            start = 0
        new = self.text[:, -tokens.shape[1] :] if start else self.text
        embeddings = self.model.text_embedding(new)
        return self._feed(
            embeddings if start else torch.cat([self.patches, embeddings], dim=1), start
        )

    def _move_window(self, new: int) -> None:
        """Keep the last half of the text that fits (or as much as is new), and forget everything
        else but the picture.
        """
        self.text = self.text[:, -min(max(self.room // 2, new), self.room) :]
        self.cache.forget(self.cache.rows[:, 0])

    def _feed(self, embeddings: Tensor, start: int) -> Tensor:
        index = torch.arange(start, start + embeddings.shape[1], device=embeddings.device).expand(
            len(embeddings), -1
        )
        self.cache.reserve(index)
        masks = cache_masks(self.model.config, index, self.cache, hide_actions=False)
        hidden = self.model.trunk(embeddings, masks, index, self.cache)[0]
        return self.model.token_decoder(hidden[:, -1])
