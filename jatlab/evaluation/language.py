"""How well an agent knows language: perplexity on the test split, exact answers to questions about
pictures, each beside a baseline that anyone can beat.

Perplexity is per token, e to the mean negative log-likelihood; beside it stand nats per byte,
because tokens of another vocabulary are other tokens. Its baseline, the unigram, knows how often
each token occurs in the train split and nothing of what came before. An answer counts only if it is
the whole of what the agent writes, greedily, behind "A:"; its baseline gives the answer that is
most frequent in the train split among questions of the same type.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from math import exp
from pathlib import Path

import numpy as np
import torch

from jatlab.agents.generation import picture_tensor, write
from jatlab.data.pictures import open_pictures, picture_bytes
from jatlab.data.recording.scenes import question_type
from jatlab.data.text import language_files, open_text, read_columns
from jatlab.data.windows import to_tensors
from jatlab.evaluation.statistics import bootstrap_interval
from jatlab.tasks import expand, get_task

BATCH = 32  # rows or questions at once
MAX_DOCUMENTS = 1000
MAX_QUESTIONS = 1000
MAX_ANSWER_TOKENS = 12
SMOOTHING = 1.0  # added to each token's count in the unigram
PAIR = re.compile(r"Q: (?P<question>.+?) A: ?(?P<answer>[^\n]+)")


def language_scores(
    agent,
    tasks: str | Iterable[str],
    data: str | Path = "data",
    documents: int = MAX_DOCUMENTS,
    questions: int = MAX_QUESTIONS,
) -> dict[str, dict]:
    """Scores of the tasks of text and pictures among ``tasks``, by name; see `perplexity` and
    `exact_match`. Both for tasks whose test texts are questions: there "interval" is that of the
    exact matches, and "perplexity_interval" the other.

    ``data``: the folder with <task>/train and <task>/test; at most ``documents`` of a test split
    are read, and ``questions`` asked. Raises ValueError for data that cannot be read,
    FileNotFoundError where there is none.
    """
    scores = {}
    for name in expand(tasks):
        if get_task(name).playable:
            continue
        scores[name] = perplexity(agent, name, data, documents)
        if get_task(name).observation == "picture" and (
            matched := exact_match(agent, name, data, questions)
        ):
            scores[name] |= {"perplexity_interval": scores[name]["interval"]} | matched
    return scores


# --- perplexity
# --------------------------------------------------------------------------------------------------------------


def perplexity(agent, name: str, data: str | Path = "data", documents: int = MAX_DOCUMENTS) -> dict:
    """Of the test split: "perplexity" and "unigram" (per token), "interval" (95 %: documents drawn
    again), "nats_per_byte", "unigram_nats_per_byte", "perplexity_per_word", "tokens", "documents".

    Every token counts, the end mark too, and each is predicted with what stands before it in its
    document: at least half of the positions, where there is so much.
    """
    source = _source(agent, name, data, "test")
    texts = [_text(source, row) for row in source.episodes[:documents]]  # ids
    nats = document_nats(agent, source, texts)
    unigram = unigram_nats(_counts(agent, name, data), texts)
    words = [agent.tokenizer.decode(ids) for ids in texts]
    size, count = (
        sum(len(text.encode()) for text in words),
        sum(len(text.split()) for text in words),
    )
    tokens = np.array([len(ids) for ids in texts])
    return {
        "perplexity": exp(nats.sum() / tokens.sum()), "interval": _ratio_interval(nats, tokens), "unigram": exp(unigram / tokens.sum()),
        "tokens": int(tokens.sum()), "documents": len(texts), "nats_per_byte": float(nats.sum() / size), "unigram_nats_per_byte": float(unigram / size),
        "perplexity_per_word": exp(min(nats.sum() / count, 700)),
    }  # fmt: skip


def _source(agent, name: str, data: str | Path, split: str):
    opener = open_pictures if get_task(name).observation == "picture" else open_text
    return opener(name, data, agent.model.config, agent.tokenizer, split=split)


def _text(source, row: int) -> np.ndarray:
    """A document's ids and its end mark; beside a picture, as far as there is room."""
    ids = source.tokens[row]
    return ids[: _room(source) - 1] if hasattr(source, "patches") else ids


def _room(source) -> int:
    """Tokens that the model reads at once."""
    return source.row_tokens - getattr(source, "patches", 0)


@torch.inference_mode()
def document_nats(agent, source, texts: list[np.ndarray]) -> np.ndarray:
    """The negative log-likelihood of each of the first documents of ``source``, whose ids are
    ``texts``: (D,). The mark that ends the one before is read first.
    """
    nats = np.zeros(len(texts))
    pieces = [
        (document, *piece)
        for document, ids in enumerate(texts)
        for piece in pieces_of(np.array([agent.tokenizer.end_id, *ids]), _room(source))
    ]
    pieces.sort(key=lambda piece: len(piece[1]))
    for first in range(0, len(pieces), BATCH):
        some = pieces[first : first + BATCH]
        batch = _side_by_side([ids for _, ids, _ in some], agent.tokenizer.pad_id)
        if hasattr(source, "patches"):
            batch["pixel_values"] = source.pixels(
                source.episodes[[document for document, _, _ in some]]
            )
        losses = _token_nats(agent.model, to_tensors(batch, agent.device))
        for (document, ids, known), row in zip(some, losses):
            nats[document] += row[known : len(ids) - 1].sum()
    return nats


def pieces_of(ids: np.ndarray, length: int) -> list[tuple[np.ndarray, int]]:
    """``ids`` cut into overlapping pieces of at most ``length``, each with how many of its
    predictions were made in the piece before.

    All ids but the first are predicted once, those after the first piece with at least ``length //
    2`` before them.
    """
    half = length // 2
    starts = range(0, max(len(ids) - half, 1), length - half) if len(ids) > length else (0,)
    return [(ids[start : start + length], half - 1 if start else 0) for start in starts]


def _side_by_side(texts: list[np.ndarray], pad_id: int) -> dict[str, np.ndarray]:
    mask = np.arange(max(map(len, texts))) < np.array([[len(ids)] for ids in texts])
    ids = np.full(mask.shape, pad_id, np.int64)
    ids[mask] = np.concatenate(texts)
    return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


def _token_nats(model, inputs: dict) -> np.ndarray:
    """Negative log-likelihood of each token after the first, (B, S - 1)."""
    ids = inputs["input_ids"]
    logits = model(**inputs, return_loss=False).logits[:, -ids.shape[1] : -1]  # (B, S - 1, V)
    return (
        torch.nn.functional.cross_entropy(
            logits.float().transpose(1, 2), ids[:, 1:], reduction="none"
        )
        .double()
        .cpu()
        .numpy()
    )


def unigram_nats(counts: np.ndarray, texts: list[np.ndarray]) -> float:
    """The negative log-likelihood of ``texts`` (ids) under smoothed token counts (V,)."""
    nats = -np.log((counts + SMOOTHING) / (counts + SMOOTHING).sum())
    return float(sum(nats[ids].sum() for ids in texts))


def _counts(agent, name: str, data: str | Path) -> np.ndarray:
    """How often each token occurs in the train split, (V,)."""
    return np.bincount(
        _source(agent, name, data, "train").tokens.values, minlength=agent.model.config.vocab_size
    )


def _ratio_interval(nats: np.ndarray, tokens: np.ndarray) -> list[float]:
    """95 % of the perplexities that documents drawn with replacement give."""
    drawn = np.random.default_rng(0).integers(len(nats), size=(1000, len(nats)))
    return np.percentile(np.exp(nats[drawn].sum(1) / tokens[drawn].sum(1)), [2.5, 97.5]).tolist()


# --- questions
# ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Question:
    """One question about a picture (compressed bytes), and its answer."""

    text: str
    answer: str
    picture: bytes = b""

    @property
    def type(self) -> str:
        return question_type(self.text)


def exact_match(agent, name: str, data: str | Path = "data", most: int = MAX_QUESTIONS) -> dict:
    """Of the test split's questions: "exact_match" with its "interval" (95 %), "majority",
    "questions", and the same "by_type". {} if it has none.
    """
    questions = list(islice(read_questions(name, data, "test"), most))
    if not questions:
        return {}
    usual = majority_answers(read_questions(name, data, "train", pictures=False))
    right = np.array(
        [
            _plain(given) == _plain(q.answer)
            for given, q in zip(answer(agent, questions), questions)
        ],
        float,
    )
    guessed = np.array(
        [_plain(usual.get(q.type, "")) == _plain(q.answer) for q in questions], float
    )
    types = np.array([q.type for q in questions])
    return _summary(right, guessed) | {
        "by_type": {
            str(kind): _summary(right[types == kind], guessed[types == kind])
            for kind in sorted(set(types))
        }
    }


def _summary(right: np.ndarray, guessed: np.ndarray) -> dict:
    return {
        "exact_match": float(right.mean()),
        "interval": list(bootstrap_interval(right)),
        "majority": float(guessed.mean()),
        "questions": len(right),
    }


def _plain(answer: str) -> str:
    """An answer without what does not matter: case, spaces around it, a full stop."""
    return answer.strip().rstrip(".").lower()


def read_questions(
    name: str, data: str | Path, split: str, pictures: bool = True
) -> Iterator[Question]:
    """The questions of a split, one after another; a text may hold several, a line each. Texts that
    are no questions are passed over.
    """
    columns = ("images", "text") if pictures else ("text",)
    for file in language_files(data, name, split):
        number = 0
        for rows in read_columns(file, columns):
            for image, text in zip(rows.get("images", rows["text"]), rows["text"]):
                picture = picture_bytes(image, f"{file}, picture {number}") if pictures else b""
                yield from (
                    Question(found["question"], found["answer"], picture)
                    for found in PAIR.finditer(text)
                )
                number += 1


def majority_answers(questions: Iterable[Question]) -> dict[str, str]:
    """The most frequent answer to each type of question."""
    answers: dict[str, Counter] = defaultdict(Counter)
    for question in questions:
        answers[question.type][question.answer] += 1
    return {kind: counts.most_common(1)[0][0] for kind, counts in answers.items()}


def answer(agent, questions: list[Question]) -> list[str]:
    """What the agent answers, greedily: up to the end of the line or the text. Questions of equally
    many tokens are asked together.
    """
    prompts = [
        [agent.tokenizer.end_id, *agent.tokenizer.encode(f"Q: {question.text} A:")]
        for question in questions
    ]
    answers = [""] * len(questions)
    for group in _alike([len(prompt) for prompt in prompts]):
        pixels = picture_tensor(agent, [questions[i].picture for i in group])
        written = list(
            islice(
                write(
                    agent.model,
                    [prompts[i] for i in group],
                    pixels,
                    lambda logits: logits.argmax(-1),
                ),
                MAX_ANSWER_TOKENS,
            )
        )
        for i, ids in zip(group, zip(*written)):
            answers[i] = _first_line(agent.tokenizer, ids)
    return answers


def _alike(lengths: list[int]) -> Iterator[list[int]]:
    """Indices of equal length, at most a batch together."""
    groups = defaultdict(list)
    for index, length in enumerate(lengths):
        groups[length].append(index)
    for group in groups.values():
        yield from (group[first : first + BATCH] for first in range(0, len(group), BATCH))


def _first_line(tokenizer, ids: Iterable[int]) -> str:
    return (
        tokenizer.decode(takewhile(lambda token: token != tokenizer.end_id, ids))
        .partition("\n")[0]
        .strip()
    )
