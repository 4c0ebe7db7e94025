"""The parts of the README, and of other pages, that scripts write."""

import re
from pathlib import Path

README = Path(__file__).parent.parent / "README.md"


def insert(mark: str, text: str, page: Path = README) -> None:
    """Put `text` between the page's `mark:start` and `mark:end`; a page without these marks stays
    as it is.
    """
    pattern = re.compile(rf"(<!-- {mark}:start -->\n).*?(<!-- {mark}:end -->)", re.DOTALL)
    page.write_text(pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", page.read_text()))
