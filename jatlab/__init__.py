"""jatlab: a lab around JAT, the open generalist agent (arXiv 2402.09844).

The public names are loaded on first use, so `import jatlab` takes milliseconds and imports neither
torch nor any environment.
"""

import os
from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Torch's threads wait for each other at every operation. By default they wait by computing, which
# takes the cores from each other where other programs use them too: acting was then up to eighteen
# times slower (docs/results/speed.md). So they soon sleep. OpenMP reads this when torch is loaded.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")

_HOME = {  # public name -> the module that defines it
    "JatConfig": "jatlab.model.config",
    "JatModel": "jatlab.model",
    "TextTokenizer": "jatlab.model.tokenization",
    "Agent": "jatlab.agents.agent",
    "InContextAgent": "jatlab.agents.retrieval.in_context",
    "RetrieveAndPlay": "jatlab.agents.retrieval.retrieve",
    "rollout": "jatlab.agents.rollout",
    "load_agent": "jatlab.agents.checkpoints",
    "generate": "jatlab.agents.generation",
    "evaluate": "jatlab.evaluation.evaluate",
    "make_env": "jatlab.tasks",
    "task_names": "jatlab.tasks",
}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(
            f"module 'jatlab' has no attribute {name!r}; it offers {', '.join(sorted(_HOME))}"
        )
    return getattr(import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
