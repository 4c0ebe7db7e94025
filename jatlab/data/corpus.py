"""Text that every machine has: the missions of BabyAI, and the documentation inside CPython.

`python -m jatlab.data.corpus` trains the package's tokenizer on both.
"""

from __future__ import annotations

import ast
import sysconfig
from collections.abc import Iterator
from pathlib import Path


def missions(per_task: int = 200) -> Iterator[str]:
    """The missions of the first `per_task` seeds of every BabyAI task."""
    from jatlab.tasks import make_env, task_names

    for name in task_names("babyai"):
        env = make_env(name)
        for seed in range(per_task):
            yield env.reset(seed=seed)[0]["text_observation"]
        env.close()


def documentation() -> Iterator[str]:
    """The language reference's topics as `help()` shows them, then the docstrings of the standard library, paragraph by paragraph."""
    from pydoc_data.topics import topics

    for text in (*topics.values(), *_docstrings()):
        yield from (paragraph for paragraph in text.split("\n\n") if paragraph.strip())


def _docstrings() -> Iterator[str]:
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for path in sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, documented) and (text := ast.get_docstring(node)):
                yield text


def main(vocab_size: int = 3072) -> None:
    """Train the package's tokenizer and write it to its place."""
    from jatlab.tokenization import OWN, TextTokenizer

    texts = [*missions(), *documentation()]
    OWN.parent.mkdir(exist_ok=True)
    TextTokenizer.train(texts, vocab_size).save(OWN)
    print(f"{OWN.name}: {vocab_size} tokens learnt from {len(texts):,} texts, {sum(map(len, texts)):,} characters")


if __name__ == "__main__":
    main()
