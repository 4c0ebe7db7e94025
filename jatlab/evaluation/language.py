"""How well an agent knows language, each score beside a baseline that is trivial to reach.

Perplexity is measured on the test split, per token: e to the mean negative log-likelihood. Agents
with other vocabularies have other tokens, so nats per byte are given too. The baseline is the
unigram, which knows only how often each token occurs in the train split.

Questions about pictures are answered greedily after "A:". An answer counts only if it equals the
expected one as a whole. The baseline gives the answer that is most frequent in the train split
among questions of the same type.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, takewhile
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from jatlab.agents.agent import Agent
from jatlab.agents.generation import picture_tensor, write
from jatlab.data.language.pictures import PictureSource, open_pictures, picture_bytes
from jatlab.data.language.rows import language_files, read_columns
from jatlab.data.language.text import TextSource, open_text
from jatlab.data.recording.scenes import question_type
from jatlab.data.windows import to_tensors
from jatlab.evaluation.results import LanguageScores
from jatlab.evaluation.statistics import bootstrap_interval
from jatlab.model import JatModel
from jatlab.model.tokenization import TextTokenizer
from jatlab.tasks import expand, get_task

BATCH = 32  # rows or questions at once
MAX_DOCUMENTS = 1000
MAX_QUESTIONS = 1000
MAX_ANSWER_TOKENS = 12
SMOOTHING = 1.0  # added to each token's count in the unigram
LARGEST_EXPONENT = 700  # e to more is infinite
PAIR = re.compile(r"Q: (?P<question>.+?) A: ?(?P<answer>[^\n]+)")

LanguageSource = TextSource | PictureSource


def language_scores(
    agent: Agent,
    tasks: str | Iterable[str],
    data: str | Path = "data",
    documents: int = MAX_DOCUMENTS,
    questions: int = MAX_QUESTIONS,
) -> dict[str, LanguageScores]:
    """The scores of the text and picture tasks among `tasks`, by name.

    Args:
        agent: the agent that reads and writes.
        tasks: names, patterns or domains; tasks that are played are passed over.
        data: folder with TASK/train and TASK/test.
        documents: most documents of a test split to read.
        questions: most questions of a test split to ask.

    Returns:
        What `perplexity` gives, and for tasks whose test texts are questions also what
        `exact_match` gives. There `interval` is that of the exact matches, and
        `perplexity_interval` that of the perplexity.

    Raises:
        ValueError: data that cannot be read.
        FileNotFoundError: there is no data.
    """
    scores: dict[str, LanguageScores] = {}
    for name in expand(tasks):
        if get_task(name).playable:
            continue
        scores[name] = perplexity(agent, name, data, documents)
        if get_task(name).observation != "picture":
            continue
        if matched := exact_match(agent, name, data, questions):
            scores[name] |= {"perplexity_interval": scores[name]["interval"], **matched}
    return scores


# --- perplexity


def perplexity(
    agent: Agent, name: str, data: str | Path = "data", documents: int = MAX_DOCUMENTS
) -> LanguageScores:
    """Perplexity of a test split, and of the unigram.

    Every token counts, the end mark too. Each is predicted from the tokens before it in its
    document: from at least half of the model's positions, where there are so many.

    Args:
        agent: the agent that reads.
        name: a task of text or pictures.
        data: folder with TASK/train and TASK/test.
        documents: most documents to read.

    Returns:
        `perplexity` and `unigram`, per token; `interval`, 95 % of the perplexities when documents
        are drawn again; `nats_per_byte`, `unigram_nats_per_byte`, `perplexity_per_word`; the
        number of `tokens` and `documents`.
    """
    source = _open(agent, name, data, "test")
    texts = [_ids(source, row) for row in source.episodes[:documents]]
    nats = document_nats(agent, source, texts)
    unigram = unigram_nats(_train_counts(agent, name, data), texts)
    tokens = np.array([len(ids) for ids in texts])
    decoded = [agent.tokenizer.decode(ids) for ids in texts]
    size = sum(len(text.encode()) for text in decoded)
    words = sum(len(text.split()) for text in decoded)
    return {
        "perplexity": exp(nats.sum() / tokens.sum()),
        "interval": _ratio_interval(nats, tokens),
        "unigram": exp(unigram / tokens.sum()),
        "tokens": int(tokens.sum()),
        "documents": len(texts),
        "nats_per_byte": float(nats.sum() / size),
        "unigram_nats_per_byte": float(unigram / size),
        "perplexity_per_word": exp(min(nats.sum() / words, LARGEST_EXPONENT)),
    }


def _open(agent: Agent, name: str, data: str | Path, split: str) -> LanguageSource:
    opener = open_pictures if get_task(name).observation == "picture" else open_text
    return opener(name, data, agent.model.config, agent.tokenizer, split=split)


def _ids(source: LanguageSource, row: int) -> np.ndarray:
    """A document's ids and its end mark; beside a picture, as many as fit."""
    ids = source.tokens[row]
    return ids[: _room(source) - 1] if isinstance(source, PictureSource) else ids


def _room(source: LanguageSource) -> int:
    """Tokens of text that the model can read at once."""
    patches = source.patches if isinstance(source, PictureSource) else 0
    return source.row_tokens - patches


@torch.inference_mode()
def document_nats(agent: Agent, source: LanguageSource, texts: list[np.ndarray]) -> np.ndarray:
    """The negative log-likelihood of the first documents of `source`: (documents,), in nats.

    Args:
        agent: the agent that reads.
        source: the documents, with their pictures if they have any.
        texts: the ids of the first documents; the end mark of the one before is read first.
    """
    nats = np.zeros(len(texts))
    pieces = [
        (document, *piece)
        for document, ids in enumerate(texts)
        for piece in pieces_of(np.array([agent.tokenizer.end_id, *ids]), _room(source))
    ]
    pieces.sort(key=lambda piece: len(piece[1]))  # little padding
    for first in range(0, len(pieces), BATCH):
        some = pieces[first : first + BATCH]
        batch = _padded([ids for _, ids, _ in some], agent.tokenizer.pad_id)
        if isinstance(source, PictureSource):
            rows = source.episodes[[document for document, _, _ in some]]
            batch["pixel_values"] = source.pixels(rows)
        losses = _token_nats(agent.model, to_tensors(batch, agent.device))
        for (document, ids, known), row in zip(some, losses, strict=True):
            nats[document] += row[known : len(ids) - 1].sum()
    return nats


def pieces_of(ids: np.ndarray, length: int) -> list[tuple[np.ndarray, int]]:
    """`ids` cut into overlapping pieces of at most `length`.

    Each piece comes with how many of its predictions the piece before has made already. So every
    id but the first is predicted once, with at least `length // 2` before it after the first piece.
    """
    half = length // 2
    starts = range(0, max(len(ids) - half, 1), length - half) if len(ids) > length else (0,)
    return [(ids[start : start + length], half - 1 if start else 0) for start in starts]


def _padded(texts: list[np.ndarray], pad_id: int) -> dict[str, np.ndarray]:
    """Texts of several lengths as one batch: `input_ids` and `attention_mask`, (B, S) int64."""
    mask = np.arange(max(map(len, texts))) < np.array([[len(ids)] for ids in texts])
    ids = np.full(mask.shape, pad_id, np.int64)
    ids[mask] = np.concatenate(texts)
    return {"input_ids": ids, "attention_mask": mask.astype(np.int64)}


def _token_nats(model: JatModel, inputs: dict[str, Tensor]) -> np.ndarray:
    """The negative log-likelihood of each token after the first: (B, S - 1)."""
    ids = inputs["input_ids"]
    logits = model(**inputs, return_loss=False).logits[:, -ids.shape[1] : -1]  # (B, S - 1, V)
    nats = torch.nn.functional.cross_entropy(
        logits.float().transpose(1, 2), ids[:, 1:], reduction="none"
    )
    return nats.cpu().double().numpy()


def unigram_nats(counts: np.ndarray, texts: list[np.ndarray]) -> float:
    """The negative log-likelihood of `texts` (ids) under smoothed token counts (V,)."""
    nats = -np.log((counts + SMOOTHING) / (counts + SMOOTHING).sum())
    return float(sum(nats[ids].sum() for ids in texts))


def _train_counts(agent: Agent, name: str, data: str | Path) -> np.ndarray:
    """How often each token occurs in the train split: (V,)."""
    tokens = _open(agent, name, data, "train").tokens.values
    return np.bincount(tokens, minlength=agent.model.config.vocab_size)


def _ratio_interval(nats: np.ndarray, tokens: np.ndarray) -> list[float]:
    """95 % of the perplexities when documents are drawn again with replacement."""
    drawn = np.random.default_rng(0).integers(len(nats), size=(1000, len(nats)))
    return np.percentile(np.exp(nats[drawn].sum(1) / tokens[drawn].sum(1)), [2.5, 97.5]).tolist()


# --- questions


@dataclass(frozen=True)
class Question:
    """One question about a picture (compressed bytes), and its answer."""

    text: str
    answer: str
    picture: bytes = b""

    @property
    def type(self) -> str:
        """What kind of question it is, such as "colour"."""
        return question_type(self.text)


def exact_match(
    agent: Agent, name: str, data: str | Path = "data", most: int = MAX_QUESTIONS
) -> LanguageScores:
    """The share of a test split's questions that the agent answers exactly.

    Args:
        agent: the agent that answers.
        name: a task of pictures.
        data: folder with TASK/train and TASK/test.
        most: most questions to ask.

    Returns:
        `exact_match` with its 95 % `interval`, the baseline `majority`, the number of `questions`,
        and the same `by_type`; an empty dict if there are no questions.
    """
    questions = list(islice(read_questions(name, data, "test"), most))
    if not questions:
        return {}
    usual = majority_answers(read_questions(name, data, "train", pictures=False))
    expected = [_plain(question.answer) for question in questions]
    given = [_plain(text) for text in answer(agent, questions)]
    guessed = [_plain(usual.get(question.type, "")) for question in questions]
    right = np.array([a == b for a, b in zip(given, expected, strict=True)], float)
    lucky = np.array([a == b for a, b in zip(guessed, expected, strict=True)], float)
    types = np.array([question.type for question in questions])
    by_type = {str(t): _match(right[types == t], lucky[types == t]) for t in sorted(set(types))}
    return _match(right, lucky) | {"by_type": by_type}


def _match(right: np.ndarray, lucky: np.ndarray) -> dict[str, Any]:
    """The shares of questions that the agent and the baseline answer, from 0 or 1 for each."""
    return {
        "exact_match": float(right.mean()),
        "interval": list(bootstrap_interval(right)),
        "majority": float(lucky.mean()),
        "questions": len(right),
    }


def _plain(answer: str) -> str:
    """An answer without case, spaces around it and a full stop, which do not matter."""
    return answer.strip().rstrip(".").lower()


def read_questions(
    name: str, data: str | Path, split: str, pictures: bool = True
) -> Iterator[Question]:
    """The questions of a split, one after another.

    Args:
        name: a task of pictures; one text may hold several questions, a line each, or none.
        data: folder with TASK/SPLIT.
        split: "train" or "test".
        pictures: read the pictures too.
    """
    columns = ("images", "text") if pictures else ("text",)
    for file in language_files(data, name, split):
        number = 0
        for rows in read_columns(file, columns):
            for image, text in zip(rows.get("images", rows["text"]), rows["text"], strict=True):
                picture = picture_bytes(image, f"{file}, picture {number}") if pictures else b""
                for found in PAIR.finditer(text):
                    yield Question(found["question"], found["answer"], picture)
                number += 1


def majority_answers(questions: Iterable[Question]) -> dict[str, str]:
    """The most frequent answer to each type of question."""
    answers: dict[str, Counter[str]] = defaultdict(Counter)
    for question in questions:
        answers[question.type][question.answer] += 1
    return {kind: counts.most_common(1)[0][0] for kind, counts in answers.items()}


def answer(agent: Agent, questions: list[Question]) -> list[str]:
    """What the agent answers, greedily: up to the end of the line or of the text."""
    tokenizer = agent.tokenizer
    prompts = [
        [tokenizer.end_id, *tokenizer.encode(f"Q: {question.text} A:")] for question in questions
    ]
    answers = [""] * len(questions)
    for group in _groups_of_equal([len(prompt) for prompt in prompts]):
        pixels = picture_tensor(agent, [questions[i].picture for i in group])
        likeliest = write(agent.model, [prompts[i] for i in group], pixels, _argmax)
        tokens = list(islice(likeliest, MAX_ANSWER_TOKENS))  # (MAX_ANSWER_TOKENS, group)
        for i, ids in zip(group, zip(*tokens, strict=True), strict=True):
            answers[i] = _first_line(tokenizer, ids)
    return answers


def _argmax(logits: Tensor) -> Tensor:
    return logits.argmax(-1)


def _groups_of_equal(lengths: list[int]) -> Iterator[list[int]]:
    """Indices of equal length, at most a batch in each group."""
    groups = defaultdict(list)
    for index, length in enumerate(lengths):
        groups[length].append(index)
    for group in groups.values():
        yield from (group[first : first + BATCH] for first in range(0, len(group), BATCH))


def _first_line(tokenizer: TextTokenizer, ids: Iterable[int]) -> str:
    text = tokenizer.decode(takewhile(lambda token: token != tokenizer.end_id, ids))
    return text.partition("\n")[0].strip()
