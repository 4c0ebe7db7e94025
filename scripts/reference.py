"""Put the comparison with the published way into docs/results/speed.md.

`jatlab bench --reference --output docs/results/reference.json` measures it, and this script makes
the tables from that file.
"""

import json

from jatlab.experiments.benchmarks.reference.run import as_tables
from scripts.readme import RESULTS, insert


def tables() -> str:
    """The page's tables, from the measured JSON."""
    return as_tables(json.loads((RESULTS / "reference.json").read_text(encoding="utf-8")))


if __name__ == "__main__":
    insert("reference", tables())
