"""The parts of the README and of the documentation's pages that scripts write."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
RESULTS = ROOT / "docs" / "results"
PAGES = {
    "scores": README,
    "mini": RESULTS / "jatlab-mini.md",
    "results": RESULTS / "demo.md",
    "atari-teachers": RESULTS / "teachers.md",
    "imitation": RESULTS / "teachers.md",
    "language": RESULTS / "language.md",
    "bench": RESULTS / "speed.md",
    "recording-speed": RESULTS / "speed.md",
    "gpu": RESULTS / "speed.md",
    "reference": RESULTS / "speed.md",
    "numbers": ROOT / "docs" / "design" / "numbers.md",
}


def insert(mark: str, text: str, page: Path | None = None) -> None:
    """Put ``text`` between a page's ``<!-- mark:start -->`` and ``<!-- mark:end -->``.

    ``page`` is the page that `PAGES` has for the mark, unless given. A page without these marks
    stays as it is.
    """
    page = page or PAGES[mark]
    pattern = re.compile(rf"(<!-- {mark}:start -->\n).*?(<!-- {mark}:end -->)", re.DOTALL)
    before = page.read_text(encoding="utf-8")
    after = pattern.sub(lambda match: f"{match[1]}{text}\n{match[2]}", before)
    page.write_text(after, encoding="utf-8")


def inserted(mark: str, page: Path | None = None) -> str:
    """What stands between a page's marks."""
    page = page or PAGES[mark]
    pattern = rf"<!-- {mark}:start -->\n(.*?)\n?<!-- {mark}:end -->"
    found = re.search(pattern, page.read_text(encoding="utf-8"), re.DOTALL)
    if not found:
        raise ValueError(f"{page} has no <!-- {mark}:start --> … <!-- {mark}:end -->")
    return found[1]
