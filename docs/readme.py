"""The parts of the README that scripts write."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def insert(mark: str, text: str) -> None:
    """Put `text` between the README's `mark:start` and `mark:end`."""
    pattern = re.compile(rf"(<!-- {mark}:start -->\n).*?(<!-- {mark}:end -->)", re.DOTALL)
    README.write_text(pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", README.read_text()))
