"""The headers of the notebooks: title, objectives, needs, minutes and hardware.

The tables of lessons are made from them, and tests check them.
"""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
FIELDS = {"objectives": "You will be able to", "needs": "You need", "minutes": "Minutes, hardware"}


@dataclass(frozen=True)
class Lesson:
    """One notebook's header; what is missing is "".

    ``minutes`` is the paragraph about minutes and hardware.
    """

    file: str
    number: str
    name: str
    objectives: str
    needs: str
    minutes: str

    @property
    def time(self) -> str:
        """How many minutes, "25" or "20–30"; "" if the header names none."""
        match = re.search(r"(\d+(?:\s*(?:[-–]|to)\s*\d+)?)\s+minutes", self.minutes)
        return match[1] if match else ""

    @property
    def hardware(self) -> str:
        """What the lesson runs on: the paragraph without its minutes."""
        time = re.compile(r"^.*?\bminutes\b(?:\s*\([^)]*\))?[^,.;(]*[,.;]?\s*", re.DOTALL)
        rest = time.sub("", self.minutes, count=1)
        return rest[:1].upper() + rest[1:]


def source(cell: dict[str, Any]) -> str:
    """A cell's text, which a notebook's file has as one string or as lines."""
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def header(notebook: dict[str, Any]) -> str:
    """The text above the first code cell."""
    texts = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            break
        texts.append(source(cell))
    return "\n\n".join(texts)


def lesson(notebook: dict[str, Any], file: str) -> Lesson:
    """The header of a notebook (as JSON)."""
    text = header(notebook)
    title = re.search(r"^# (\d\d) · (.+)$", text, re.MULTILINE)
    return Lesson(
        file,
        title[1] if title else "",
        title[2].strip() if title else "",
        **{name: paragraph(text, words) for name, words in FIELDS.items()},
    )


def paragraph(text: str, words: str) -> str:
    """The paragraph after these bold words, with a list that follows it, on one line.

    The list's items are joined by semicolons. It is "" without such words.
    """
    match = re.search(rf"\*\*{words}:?\*\*:?(.*?)(?=\n\n(?![-*] )|\Z)", text, re.DOTALL)
    if not match:
        return ""
    first, *items = re.split(r"^[-*] ", match[1], flags=re.MULTILINE)
    parts = [part.strip().rstrip(";.,") for part in items]
    text = first + "; ".join(parts) + ("." if parts else "")
    return re.sub(r"\s+", " ", text).strip()


def lessons() -> list[Lesson]:
    """The headers of all notebooks, in order."""
    return [
        lesson(json.loads(path.read_text(encoding="utf-8")), path.name)
        for path in sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))
    ]
