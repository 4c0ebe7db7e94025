"""Text that every machine has: the missions of BabyAI, and the documentation inside CPython.

``python -m jatlab.data.recording.corpus`` trains the package's tokenizer on both.
`split_documents` makes a corpus of the documentation: documents for training, other documents for
testing, and of the latter only the paragraphs that training does not have.
"""

from __future__ import annotations

import ast
import re
import sysconfig
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from zlib import crc32

TEST_ONE_IN = 20  # documents
RUN = 8  # words: paragraphs are compared by their runs of so many
SHARED = 0.3  # a paragraph that shares more of its runs with training is no test
# folders of the standard library that are left out
LEFT_OUT = ("test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__")


def missions(per_task: int = 200) -> Iterator[str]:
    """The missions of the first ``per_task`` seeds of every BabyAI task."""
    from jatlab.tasks import make_env, task_names

    for name in task_names("babyai"):
        env = make_env(name)
        for seed in range(per_task):
            yield env.reset(seed=seed)[0]["text_observation"]
        env.close()


def documentation() -> Iterator[str]:
    """The paragraphs that the tokenizer learns from.

    They come from the language reference's topics, as ``help()`` shows them, and from the
    docstrings of the standard library's modules.
    """
    for text in (*_topics(), *_docstrings("*.py")):
        yield from _paragraphs(text)


def documents() -> Iterator[str]:
    """The topics and all docstrings of the standard library, packages included, each once."""
    seen = {""}
    for text in chain(_topics(), _docstrings("**/*.py")):
        if text.strip() not in seen:
            seen.add(text.strip())
            yield text.strip()


def _topics() -> Iterable[str]:
    from pydoc_data.topics import topics

    return topics.values()


def _docstrings(pattern: str) -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    library = Path(sysconfig.get_paths()["stdlib"])
    for path in sorted(library.glob(pattern)):
        if not set(LEFT_OUT).isdisjoint(path.relative_to(library).parts):
            continue
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, documented) and (text := ast.get_docstring(node)):
                yield text


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in text.split("\n\n") if paragraph.strip()]


# --- train and test ---


def split_documents(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Documents for training and for testing, decided by each one's digest.

    Docstrings are often copied. So a paragraph of a test document is left out where training has
    the same words, or more than three tenths of its runs of eight words. A document of which no
    paragraph remains is left out.
    """
    train: list[str] = []
    test: list[str] = []
    for text in texts:
        (test if crc32(text.encode()) % TEST_ONE_IN == 0 else train).append(text)
    known = {run for text in train for paragraph in _paragraphs(text) for run in _runs(paragraph)}
    kept = ("\n\n".join(p for p in _paragraphs(text) if _is_new(p, known)) for text in test)
    return train, [text for text in kept if text]


def _is_new(paragraph: str, known: set[tuple[str, ...]]) -> bool:
    runs = _runs(paragraph)
    return bool(runs) and sum(run in known for run in runs) <= SHARED * len(runs)


def _runs(paragraph: str) -> list[tuple[str, ...]]:
    """All runs of eight words, without case and punctuation; a shorter paragraph is one run."""
    words = re.findall(r"\w+", paragraph.lower())
    return [tuple(words[i : i + RUN]) for i in range(max(1, len(words) - RUN + 1))] if words else []


def main(vocab_size: int = 3072) -> None:
    """Train the package's tokenizer and write it to its place."""
    from jatlab.model.tokenization import OWN, TextTokenizer

    texts = [*missions(), *documentation()]
    OWN.parent.mkdir(exist_ok=True)
    TextTokenizer.train(texts, vocab_size).save(OWN)
    print(
        f"{OWN.name}: {vocab_size} tokens learnt from {len(texts):,} texts, "
        f"{sum(map(len, texts)):,} characters"
    )


if __name__ == "__main__":
    main()
