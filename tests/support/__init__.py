"""What several test modules share: golden cases, small models, made data, a browser. `ROOT` is the
repository.
"""

from pathlib import Path

ROOT = Path(__file__).parents[2]
