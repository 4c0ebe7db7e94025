"""Printing on terminals of any encoding: a character that one lacks must not end hours of work.

Windows consoles (cp932, cp437) and ``PYTHONIOENCODING=ascii`` have no ±, for example.
"""

from __future__ import annotations

import codecs
import sys

PLAIN = {"±": "+-", "…": "...", "×": "x", "·": "*", "–": "-", "—": "-", "→": "->", "’": "'"}
ERRORS = "jatlab-plain"  # the name of our way with characters that an encoding lacks


def say(text: object, flush: bool = False) -> None:
    """Print `text`; what the terminal lacks is replaced by plain characters, or escaped."""
    print(encodable(str(text)), flush=flush)


def percent(rate: float) -> str:
    """A share in percent: 0.75 -> "75 %", 0.996 -> "99.6 %". Only 1 is "100 %", only 0 is "0 %"."""
    digits = 0
    while 0 < rate < 1 and round(100 * rate, digits) in (0, 100):
        digits += 1
    return f"{100 * rate:.{digits}f} %"


def stopped(kept: str) -> KeyboardInterrupt:
    """What a stopped command raises: what is ``kept``, and how to go on."""
    return KeyboardInterrupt(f"stopped; {kept}. The same command goes on from there")


def encodable(text: str) -> str:
    """The text with characters that standard output can show."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return text.encode(encoding, ERRORS).decode(encoding)


def _in_plain_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    if isinstance(error, UnicodeEncodeError):
        words = [PLAIN.get(one) for one in error.object[error.start : error.end]]
        if None not in words:
            return "".join(map(str, words)), error.end
    return codecs.backslashreplace_errors(error)


codecs.register_error(ERRORS, _in_plain_characters)
