"""Text that every machine has: the missions of BabyAI, and the documentation inside CPython.

`python -m jatlab.data.recording.corpus` trains the package's tokenizer on both. `split_documents`
makes a corpus of the documentation: whole documents for training, others for testing, and of these
only paragraphs that training does not have.
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
RUN = 8  # words: runs of so many are compared
SHARED = 0.3  # a paragraph that shares more of its runs with training is no test
LEFT_OUT = (
    "test",
    "tests",
    "idle_test",
    "site-packages",
    "dist-packages",
    "__pycache__",
)  # folders of the standard library


def missions(per_task: int = 200) -> Iterator[str]:
    """The missions of the first `per_task` seeds of every BabyAI task."""
    from jatlab.tasks import make_env, task_names

    for name in task_names("babyai"):
        env = make_env(name)
        for seed in range(per_task):
            yield env.reset(seed=seed)[0]["text_observation"]
        env.close()


def documentation() -> Iterator[str]:
    """The language reference's topics as `help()` shows them, then the docstrings of the standard
    library's modules, paragraph by paragraph.
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


# --- train and test
# ----------------------------------------------------------------------------------------------------------


def split_documents(texts: Iterable[str]) -> tuple[list[str], list[str]]:
    """Documents for training and for testing, decided by each one's digest.

    Docstrings are often copied. So a paragraph of a test document is left out where training has
    the same words, or more than three tenths of its runs of eight words; a document of which
    nothing is left is left out.
    """
    groups: tuple[list[str], list[str]] = [], []
    for text in texts:
        groups[crc32(text.encode()) % TEST_ONE_IN == 0].append(text)
    known = {
        run for text in groups[0] for paragraph in _paragraphs(text) for run in _runs(paragraph)
    }
    kept = ("\n\n".join(p for p in _paragraphs(text) if _is_new(p, known)) for text in groups[1])
    return groups[0], [text for text in kept if text]


def _is_new(paragraph: str, known: set) -> bool:
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
        f"{OWN.name}: {vocab_size} tokens learnt from {len(texts):,} texts, {sum(map(len, texts)):,} characters"
    )


if __name__ == "__main__":
    main()
