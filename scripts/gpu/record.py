"""The kit's recordings: jatlab-mini's demonstrations, by all cores but one, laid out flat."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from jatlab.data.windows import open_source
from jatlab.experiments.recipes import mini
from jatlab.model.config import JatConfig
from jatlab.model.tokenization import TextTokenizer
from scripts.gpu.arguments import parse

WORKERS = max(1, (os.cpu_count() or 2) - 1)


def flatten(name: str, data: Path) -> str:
    """Lay a task's episodes out flat, as training reads them; the task's name."""
    config = JatConfig.preset("mini")
    open_source(name, data, config, TextTokenizer.load(config.tokenizer))
    return name


def main() -> None:
    """Record domain by domain, so that what is there when time is up is whole."""
    arguments = parse(__doc__)
    data, names = (
        arguments.work / "data",
        list(mini.QUICK if arguments.rehearse else mini.all_tasks()),
    )
    mini.record_all(names, data, WORKERS, quick=arguments.rehearse)
    with ProcessPoolExecutor(WORKERS) as pool:
        for name in pool.map(flatten, names, [data] * len(names)):
            print("flat:", name)


if __name__ == "__main__":
    main()
