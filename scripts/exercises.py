"""What a lesson's page says about its exercises, written from `jatlab.lessons`.

`make badges` writes, and a test compares: under each exercise's heading its difficulty, importance
and minutes; where it is marked, the folded solution; in the header, the minutes of the lesson and
its exercises from easy to hard.
"""

import re
from typing import Any

from jatlab.lessons import Exercise, exercises
from scripts.lessons import source

# Minutes of a lesson without its exercises. Fitted to lessons 01 to 03, which a reader new to
# jatlab worked through by the clock.
WORDS, LINES, PICTURES = 120, 30, 2  # a minute: of text read, of code read, of figures looked at
ROUND = 5  # minutes in a header are a multiple of this

HEADING = re.compile(
    r"^(### Exercise (\d\d\.\d+) · [^\n]*?)(?: \(\d+ minutes?\))?"
    r"(?:\n\n\*Difficulty [^\n]*\*)?(?=\n|\Z)",
    re.MULTILINE,
)
SOLUTION = re.compile(
    r"<!-- solution (\d\d\.\d+)(?: step (\d))? -->.*?<!-- end of solution -->", re.DOTALL
)
MINUTES = re.compile(r"^(\*\*Minutes, hardware\*\*: )\d+ minutes(?: \([^)]*\))?", re.MULTILINE)
LADDER = re.compile(r"^\*\*Exercises, from easy to hard\*\*: [^\n]*$", re.MULTILINE)


def stamped(text: str, notebook: dict[str, Any], number: str) -> str:
    """A text cell of lesson ``number`` with everything about its exercises up to date."""
    known = exercises(number)
    text = HEADING.sub(lambda m: f"{m[1]}\n\n{rating(known[m[2]])}", text)
    text = SOLUTION.sub(lambda m: folded(m[1], known[m[1]], int(m[2]) if m[2] else None), text)
    text = MINUTES.sub(lambda m: m[1] + minutes(notebook, number), text)
    return LADDER.sub(lambda _: ladder(known), text)


def rating(exercise: Exercise) -> str:
    """Difficulty, importance and minutes, as they stand under an exercise's heading."""
    return (
        f"*Difficulty {exercise.difficulty}/5 · importance {exercise.importance}/5 · "
        f"{exercise.minutes} minutes*"
    )


def folded(name: str, exercise: Exercise, step: int | None) -> str:
    """The solution of an exercise, or of one of its steps, that folds out on the page."""
    mark = f"<!-- solution {name}{f' step {step}' if step else ''} -->"
    code = f"```python\n{exercise.source(step)}\n```"
    return (
        f"{mark}\n<details><summary>Solution</summary>\n\n{code}\n\n</details>\n"
        "<!-- end of solution -->"
    )


def ladder(known: dict[str, Exercise]) -> str:
    """The exercises by difficulty, for the header."""
    by_difficulty = sorted(known, key=lambda name: known[name].difficulty)
    steps = ", ".join(f"{name} ({known[name].difficulty}/5)" for name in by_difficulty)
    return f"**Exercises, from easy to hard**: {steps}."


def minutes(notebook: dict[str, Any], number: str) -> str:
    """The minutes of a lesson: those of reading and running, and the sum of its exercises'."""
    reading = ROUND * max(round(reading_minutes(notebook) / ROUND), 1)
    working = sum(exercise.minutes for exercise in exercises(number).values())
    working = ROUND * -(-working // ROUND)
    total = reading + working
    return f"{total} minutes ({reading} to read and run, {working} for the exercises)"


def reading_minutes(notebook: dict[str, Any]) -> float:
    """How long the page takes without its exercises, from its words, lines and pictures."""
    words, lines, pictures = 0, 0, 0
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            shown = re.sub(r"<details>.*?</details>|\]\([^)]*\)", "", source(cell), flags=re.DOTALL)
            words += len(shown.split())
            continue
        lines += sum(1 for line in source(cell).splitlines() if line.strip())
        shown_kinds = [kind for one in cell["outputs"] for kind in one.get("data", {})]
        pictures += sum(kind.startswith("image/") for kind in shown_kinds)
    return words / WORDS + lines / LINES + pictures / PICTURES
