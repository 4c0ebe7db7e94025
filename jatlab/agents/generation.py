"""Writing text: `jatlab.generate("The for statement")`, after a prompt and perhaps a picture.

A text begins after an end mark, as every document does in training, and a picture's patches stand
before it. The prompt passes through the model once; from then on each token costs one step on the
key/value cache. When the positions are full, the later half of the text is read again from the
start, behind the picture, and writing goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, takewhile
from numbers import Real
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from jatlab.agents.sampling import tempered
from jatlab.model.attention import KeyValueCache
from jatlab.model.packed import PackedTrunk
from jatlab.model.transformer import cache_masks
from jatlab.utils.checks import check_temperature, require, whole_number

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer

    from jatlab.agents.agent import Agent
    from jatlab.model import JatModel
    from jatlab.model.tokenization import TextTokenizer


def generate(
    prompt: str,
    agent: Agent | str | os.PathLike = "jatlab-mini",
    image: Any = None,
    max_tokens: int = 64,
    temperature: float = 1.0,
    top_p: float = 1.0,
    seed: int = 0,
) -> str:
    """The text that an agent writes after a prompt.

    Args:
        prompt: the beginning; "" begins a document. Of a prompt longer than the model's positions
            its last tokens are read.
        agent: one that is loaded, or what `load_agent` takes.
        image: put before the text: a file, compressed bytes or a PIL picture.
        max_tokens: stop after so many, unless the agent ends the text before.
        temperature: sharpens (below 1) or flattens what is drawn from; 0 takes the likeliest token.
        top_p: draw from the fewest tokens that have this probability together.
        seed: the same seed gives the same text.

    Returns:
        The text, without the prompt.

    Raises:
        ValueError: for a setting out of range, characters that the agent's tokenizer does not know,
            a picture of a wrong mode or one that leaves no position for text.
        FileNotFoundError: for an agent or a file that is not there.
    """
    temperature = check_temperature(temperature)
    require(
        isinstance(top_p, Real) and 0 < top_p <= 1,
        f"top_p is {top_p!r}: expected a share above 0, at most 1",
    )
    max_tokens, seed = whole_number(max_tokens, "max_tokens", 1), whole_number(seed, "seed")
    require(isinstance(prompt, str), f"prompt is a {type(prompt).__name__}: expected text")
    require(seed < 2**64, f"seed is {seed}: expected at most {2**64 - 1}")
    agent = _loaded(agent)
    tokenizer = agent.tokenizer
    ids = [tokenizer.end_id, *encode_prompt(tokenizer, prompt)]
    pixels = None if image is None else picture_tensor(agent, [image])
    generator = torch.Generator().manual_seed(seed)
    tokens = write(
        agent.model, [ids], pixels, lambda logits: draw(logits, temperature, top_p, generator)
    )
    text = takewhile(lambda token: token != tokenizer.end_id, (token for (token,) in tokens))
    written = list(islice(text, max_tokens))
    return tokenizer.decode(ids + written)[len(tokenizer.decode(ids)) :]


def _loaded(agent: Agent | str | os.PathLike) -> Agent:
    if isinstance(agent, str | os.PathLike):
        from jatlab.agents.checkpoints import load_agent

        return load_agent(agent)
    return agent


# --- in and out


def encode_prompt(tokenizer: TextTokenizer, prompt: str) -> list[int]:
    """The ids of a prompt.

    Raises ValueError that names the characters which the tokenizer does not know: it would silently
    leave them out.
    """
    try:
        encoding = tokenizer.tokenizer.encode(prompt)
    except (TypeError, UnicodeError):  # half of a surrogate pair
        broken = sorted({character for character in prompt if "\ud800" <= character <= "\udfff"})
        raise ValueError(
            f"the prompt holds {', '.join(map(ascii, broken))}, which are halves of characters: "
            "decode the text again, as UTF-8"
        ) from None
    lost = list(dict.fromkeys(_unknown(tokenizer.tokenizer, encoding, prompt)))[:10]
    require(
        not lost,
        f"the tokenizer does not know {', '.join(map(repr, lost))} of the prompt: leave them out, "
        "or use an agent whose vocabulary has all bytes",
    )
    return encoding.ids


def _unknown(tokenizer: Tokenizer, encoding: Encoding, prompt: str) -> list[str]:
    """Characters that became the unknown token, or nothing at all.

    A character is encoded on its own to see whether it becomes nothing, because a library that
    drops a character also misplaces those behind it.
    """
    unknown_token = getattr(tokenizer.model, "unk_token", None)
    if unknown_token is not None:
        unknown_id = tokenizer.token_to_id(unknown_token)
        return [
            character
            for token, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
            if token == unknown_id
            for character in prompt[start:end]
        ]
    return [
        character
        for character in dict.fromkeys(prompt)
        if not character.isspace() and not tokenizer.encode(character).ids
    ]


def picture_tensor(agent: Agent, images: Sequence[Any]) -> Tensor:
    """Pictures (files, bytes, PIL) as the model takes them: float32 (B, 3, h, w) on its device."""
    import numpy as np

    from jatlab.data.language.pictures import normalise, open_picture, preprocess

    size, pixels = agent.model.config.image_size, []
    for image in images:
        name = str(image) if isinstance(image, str | os.PathLike) else "the picture"
        pixels.append(preprocess(open_picture(image, name), size))
    return normalise(torch.tensor(np.stack(pixels)).to(agent.device))


def draw(logits: Tensor, temperature: float, top_p: float, generator: torch.Generator) -> Tensor:
    """One token for each row.

    Args:
        logits: (B, V).
        temperature: by which they are divided; 0 takes the likeliest token.
        top_p: see `nucleus`.
        generator: of the random numbers.

    Returns:
        (B,), the tokens.
    """
    if temperature == 0:
        return logits.argmax(-1)
    probabilities = nucleus(tempered(logits.cpu().double(), temperature), top_p)
    return torch.multinomial(probabilities, 1, generator=generator)[:, 0].to(logits.device)


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Keep the likeliest tokens that together reach ``top_p``, the one that reaches it included.

    (B, V) -> (B, V), the sum of each row 1.
    """
    if top_p >= 1:
        return probabilities
    ordered, order = probabilities.sort(dim=-1, descending=True)
    beyond = ordered.cumsum(-1) - ordered >= top_p  # what comes before already reaches it
    kept = torch.zeros_like(probabilities).scatter(-1, order, ordered.masked_fill(beyond, 0.0))
    return kept / kept.sum(-1, keepdim=True)


# --- token by token


def write(
    model: JatModel,
    prompts: Sequence[Sequence[int]],
    pixels: Tensor | None,
    choose: Callable[[Tensor], Tensor],
) -> Iterator[list[int]]:
    """Yield the next token of each of several texts, endlessly.

    Args:
        model: which writes.
        prompts: B lists of tokens of one length.
        pixels: (B, 3, h, w), put before the texts; None: no pictures.
        choose: from logits (B, V) the tokens (B,).

    Raises:
        ValueError: for prompts that are empty or differ in length.
    """
    require(
        len({len(ids) for ids in prompts}) == 1 and len(prompts[0]) > 0,
        "prompts that are continued together have one length, at least 1",
    )
    decoder = TextDecoder(model, len(prompts), pixels)
    tokens = torch.tensor(prompts, device=model.text_embedding.weight.device)  # (B, S)
    while True:
        tokens = choose(decoder.read(tokens))[:, None]
        yield tokens[:, 0].tolist()


class TextDecoder:
    """What a model has read of B texts of one length.

    Args:
        model: which reads.
        batch: B.
        pixels: (B, 3, h, w), pictures that stand before the texts; None: no pictures.

    Raises:
        ValueError: if a picture leaves no position for text.
    """

    def __init__(self, model: JatModel, batch: int, pixels: Tensor | None = None):
        self.model, self.positions = model, model.config.max_position_embeddings
        self.trunk = PackedTrunk(model.trunk, rows=batch)
        weight = model.text_embedding.weight
        self.cache = KeyValueCache(model.config, batch, self.positions, weight.device, weight.dtype)
        with torch.inference_mode():
            if pixels is None:
                self.patches = weight.new_zeros(batch, 0, weight.shape[1])
            else:
                self.patches = model.patch_encoder(pixels)  # (B, P, H)
        self.room = self.positions - self.patches.shape[1]  # for text
        require(
            self.room >= 2,
            f"a picture takes {self.patches.shape[1]} of the model's {self.positions} positions, "
            "which leaves no room for text",
        )
        # what the cache holds of the texts
        self.text = torch.zeros(batch, 0, dtype=torch.long, device=weight.device)

    @torch.inference_mode()
    def read(self, tokens: Tensor) -> Tensor:
        """Read ``tokens`` (B, S) behind all that was read before; logits (B, V) of what follows."""
        start = self.patches.shape[1] + self.text.shape[1] if self.text.shape[1] else 0
        self.text = torch.cat([self.text, tokens], dim=1)
        if self.text.shape[1] > self.room:
            self._move_window(tokens.shape[1])
            start = 0
        if start:
            return self._feed(self.model.text_embedding(tokens), start)
        embeddings = self.model.text_embedding(self.text)
        return self._feed(torch.cat([self.patches, embeddings], dim=1), 0)

    def _move_window(self, new: int) -> None:
        """Keep the last half of the text that fits (or as much as is new), and the picture."""
        self.text = self.text[:, -min(max(self.room // 2, new), self.room) :]
        self.cache.forget(self.cache.rows[:, 0])

    def _feed(self, embeddings: Tensor, start: int) -> Tensor:
        batch, length = embeddings.shape[:2]
        index = torch.arange(start, start + length, device=embeddings.device).expand(batch, -1)
        self.cache.reserve(index)
        masks = cache_masks(self.model.config, index, self.cache, hide_actions=False)
        hidden, _ = self.trunk(embeddings, masks, index, self.cache)
        return self.model.token_decoder(hidden[:, -1])
