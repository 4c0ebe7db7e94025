"""What every notebook must be: functions from a notebook to its complaints.

Complaints are a list of sentences, empty if there is nothing to say. They name the cell by its
number, from 0. A notebook is its JSON, a dict.
"""

import builtins
import json
import re
from collections.abc import Iterator
from pathlib import Path

from jatlab.lessons import exercises
from scripts.badges import MARK, SETUP
from scripts.lessons import header, lesson, source
from scripts.sections import names_of

MEGABYTES = 1.5
EXERCISES, CHECKED = 3, 3  # the least
LONGEST = 20  # minutes of a lesson's longest exercise, at least
MARKER = "# NBVAL_CHECK_OUTPUT"
SOLUTION = re.compile(r"<!-- solution (\S+).*?```python\n(.*?)\n```", re.DOTALL)
SPEAKS_OF_A_MACHINE = {  # what an output shows -> what is wrong with it
    r"\b0x[0-9a-f]{6,}\b": "an address in memory",
    r"(?<![\w.])/(?:work|root|home|tmp|usr|opt|content|Users|var)/[\w.-]+": "a path of one machine",
    r"\b[A-Z]:\\\w+": "a path of one machine",
    r"site-packages": "a path of one machine",
    r"\d+%\|[█▏▎▍▌▋▊▉ #]*\|": "a progress bar",
    r"\w*Warning:": "a warning",
}


def cells(notebook: dict, kind: str) -> Iterator[tuple[int, dict, str]]:
    """(number, cell, source) of the cells of one kind."""
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == kind:
            yield number, cell, source(cell)


def outputs(notebook: dict) -> Iterator[tuple[int, dict]]:
    for number, cell, _ in cells(notebook, "code"):
        for output in cell["outputs"]:
            yield number, output


def joined(value: str | list[str]) -> str:
    return value if isinstance(value, str) else "".join(value)


def title_and_header(notebook: dict, file: str) -> list[str]:
    """Title, badges, objectives, needs, minutes and hardware stand above the first code cell."""
    one, text = lesson(notebook, file), header(notebook)
    wanted = {
        f"a title '# {file[:2]} · …'": one.number == file[:2],
        f"a line that ends in {MARK}": re.search(rf"^.*{re.escape(MARK)}$", text, re.MULTILINE),
        "'**You will be able to** …'": one.objectives,
        "'**You need** …'": one.needs,
        "'**Minutes, hardware**' with 'N minutes' after it": one.time,
        "what hardware, after the minutes": one.hardware,
    }
    return [f"the header lacks {what}" for what, there in wanted.items() if not there]


def setup_cell(notebook: dict, home: str) -> list[str]:
    """The first code cell is the set-up cell, word by word."""
    first = next((text for _, _, text in cells(notebook, "code")), "")
    wanted = SETUP.format(homepage=home)
    if first.strip() == wanted:
        return []
    return [f"the first code cell must be exactly\n{wanted}\nbut is\n{first}"]


def ending(notebook: dict) -> list[str]:
    """Numbered sections, then `## Recap`, then `## References`, and no section after it."""
    headings = [
        line
        for _, _, text in cells(notebook, "markdown")
        for line in re.findall(r"^## .+$", text, re.MULTILINE)
    ]
    complaints = []
    if not any(line.startswith("## 1 · ") for line in headings):
        complaints.append("no section '## 1 · …'")
    if headings[-2:] != ["## Recap", "## References"]:
        complaints.append(
            f"the last two sections must be '## Recap' and '## References', not {headings[-2:]}"
        )
    return complaints


def open_projects(notebook: dict) -> list[str]:
    """A section before the recap with one or two projects that nothing checks."""
    prose = "\n\n".join(text for _, _, text in cells(notebook, "markdown"))
    found = re.search(r"^## Open projects?$(.*?)^## Recap$", prose, re.MULTILINE | re.DOTALL)
    count = len(re.findall(r"^\*\*[^*]+\*\*", found[1], re.MULTILINE)) if found else 0
    if count in (1, 2):
        return []
    return [f"{count} open projects before the recap ('**Name.** …'); one or two are asked for"]


def diagram(notebook: dict) -> list[str]:
    """A code cell shows the lesson's diagram."""
    for _, cell, text in cells(notebook, "code"):
        kinds = [kind for one in cell["outputs"] for kind in one.get("data", {})]
        if re.search(r'^diagram\("\d\d"\)$', text, re.MULTILINE) and "image/svg+xml" in kinds:
            return []
    return ['no cell shows the diagram: diagram("NN"), with its picture']


def deep_exercise(number: str) -> list[str]:
    """At least one exercise is of twenty minutes or more."""
    longest = max(one.minutes for one in exercises(number).values())
    return [] if longest >= LONGEST else [f"the longest exercise takes {longest} minutes, not 20"]


def exercises_complete(notebook: dict, number: str) -> list[str]:
    """At least three exercises that jatlab.lessons knows, all their parts, and no other exercise.

    Each has a heading, its difficulty, importance and minutes, a check, a hint and a solution.
    """
    prose = "\n".join(text for _, _, text in cells(notebook, "markdown"))
    code = "\n".join(text for _, _, text in cells(notebook, "code"))
    try:
        known = set(exercises(number))
    except ValueError as error:
        return [str(error)]
    here = set(re.findall(r"^### Exercise (\d\d\.\d+)", prose, re.MULTILINE))
    complaints = [f"exercise {name} is not in jatlab.lessons" for name in sorted(here - known)]
    if len(here) < EXERCISES:
        complaints.append(f"{len(here)} exercises; {EXERCISES} is the least")
    complaints += [
        f"exercise {name} of jatlab.lessons has no '### Exercise {name} · …'"
        for name in sorted(known - here)
    ]
    for name in sorted(here & known):
        complaints += missing_parts(name, f"{prose}\n{code}")
    hints = len(re.findall(r"<details>\s*<summary>\s*Hint", prose))
    if hints < len(here):
        complaints.append(f"{hints} folded hints for {len(here)} exercises")
    return complaints


def missing_parts(name: str, text: str) -> list[str]:
    """What the exercise called `name` lacks in the text of a notebook."""
    number = re.escape(name)
    parts = {
        "difficulty, importance and minutes": rf"^### Exercise {number} · [^(\n]+\n\n\*Difficulty",
        f'check("{name}", …)': rf'^check\("{number}"',
        "a folded solution": rf"^<!-- solution {number}(?: step \d)? -->$",
    }
    return [
        f"exercise {name} lacks {what}"
        for what, pattern in parts.items()
        if not re.search(pattern, text, re.MULTILINE)
    ]


def stubs_untouched(notebook: dict) -> list[str]:
    """Each check says that nothing is there yet.

    So the stub is a stub, and takes what the check gives to an answer.
    """
    complaints = []
    for number, cell, text in cells(notebook, "code"):
        if match := re.search(r'^check\("(\d\d\.\d+)"', text, re.MULTILINE):
            said = "".join(joined(output.get("text", "")) for output in cell["outputs"])
            if f"{match[1]} not yet: nothing there yet" not in said:
                complaints.append(
                    f"cell {number}: the untouched stub of {match[1]} should be told "
                    f"'nothing there yet', not {said.strip()!r}"
                )
    return complaints


def was_run(notebook: dict) -> list[str]:
    """Every code cell was run, in order, in a fresh kernel, without an error or text on stderr."""
    counts = [cell["execution_count"] for _, cell, text in cells(notebook, "code") if text.strip()]
    complaints = []
    if counts != list(range(1, len(counts) + 1)):
        complaints.append(f"cells were not run once from top to bottom: counts {counts}")
    for number, output in outputs(notebook):
        if output["output_type"] == "error":
            complaints.append(f"cell {number} ends in {output['ename']}: {output['evalue']}")
        if output.get("name") == "stderr":
            complaints.append(f"cell {number} writes to stderr: {joined(output['text'])[:80]!r}")
    return complaints


def checked_cells(notebook: dict) -> list[str]:
    """At least three cells are compared under test, and what they are compared with is stored."""
    complaints, checked = [], 0
    for number, cell, text in cells(notebook, "code"):
        if not re.search(rf"^\s*{MARKER}", text, re.MULTILINE):
            continue
        if not text.startswith(MARKER):
            complaints.append(f"cell {number}: '{MARKER}' must be its first line")
            continue
        checked += 1
        if cell["execution_count"] is None:
            complaints.append(f"cell {number} is to be checked but was not run")
        if not cell["outputs"]:
            complaints.append(f"cell {number} is to be checked but has no output")
    if checked < CHECKED:
        complaints.append(f"{checked} cells marked '{MARKER}'; {CHECKED} is the least")
    return complaints


def machine_in_outputs(notebook: dict) -> list[str]:
    """No address, path, progress bar or warning in what is printed."""
    complaints = []
    for number, output in outputs(notebook):
        shown = output.get("data", {})
        texts = (output.get("text", ""), shown.get("text/plain", ""), shown.get("text/html", ""))
        text = "".join(map(joined, texts))
        for pattern, what in SPEAKS_OF_A_MACHINE.items():
            if match := re.search(pattern, text):
                complaints.append(f"cell {number} shows {what}: {match[0]!r}")
    return complaints


def alt_texts(notebook: dict) -> list[str]:
    """Every picture, in text or output, says what it shows to those who cannot see it."""
    complaints = [
        f"cell {number}: {what}"
        for number, _, text in cells(notebook, "markdown")
        for what in without_alt(text)
    ]
    for number, output in outputs(notebook):
        metadata = output.get("metadata", {})
        for kind in output.get("data", {}):
            if kind.startswith("image/") and not metadata.get(kind, {}).get("alt"):
                complaints.append(
                    f"cell {number} shows an {kind} without alt text: "
                    "use jatlab.lessons.notebook.show or show_picture"
                )
    return complaints


def without_alt(markdown: str) -> list[str]:
    """Complaints about the images of a Markdown text."""
    empty = [
        f"image {address!r} has no alt text"
        for address in re.findall(r"!\[\s*\]\(([^)\s]+)", markdown)
    ]
    tags = re.findall(r"<img\b[^>]*>", markdown)
    return empty + [
        f"{tag!r} has no alt text" for tag in tags if not re.search(r"\balt=[\"'][^\"']", tag)
    ]


def solutions_run_here(notebook: dict) -> list[str]:
    """A folded solution uses only names that the notebook has where it stands."""
    known, complaints = set(dir(builtins)), []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            known |= names_of(source(cell))[1]
            continue
        for name, code in SOLUTION.findall(source(cell)):
            uses, defines = names_of(code)
            if missing := sorted(uses - known - defines):
                complaints.append(f"cell {number}: solution {name} needs {', '.join(missing)}")
            known |= defines
    return complaints


def solutions_are_named_as_asked(notebook: dict) -> list[str]:
    """A folded solution defines the functions of the stub above it, so that it can stand there."""
    complaints, stubs = [], []
    for number, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code":
            stubs = re.findall(r"^def (\w+)", source(cell), re.MULTILINE)
            continue
        for name, code in SOLUTION.findall(source(cell))[:1]:
            defined = re.findall(r"^def (\w+)", code, re.MULTILINE)
            if defined != stubs:
                complaints.append(f"cell {number}: solution {name} is {defined}, not {stubs}")
    return complaints


def left_without_scripts(notebook: dict) -> list[str]:
    """GitHub takes frames, scripts and widgets out: a picture or a sentence stays."""
    complaints = []
    for number, output in outputs(notebook):
        shown = output.get("data", {})
        if "text/html" not in shown or any(kind.startswith("image/") for kind in shown):
            continue
        described = re.sub(r'<img\b[^>]*\balt="([^"]+)"[^>]*>', r"\1", joined(shown["text/html"]))
        kept = re.sub(r"<(iframe|script|style)\b.*?</\1>|<[^>]+>", "", described, flags=re.S)
        if not kept.strip():
            complaints.append(f"cell {number} shows nothing where frames and scripts are taken out")
    return complaints


def widget_state(notebook: dict) -> list[str]:
    """Widget metadata has its state: GitHub shows nothing of a notebook without it."""
    widgets = notebook["metadata"].get("widgets")
    if widgets is None:
        return []
    states = [value.get("state") for value in widgets.values()] or [None]
    if all(states):
        return []
    return [
        "metadata.widgets has no state: GitHub refuses the notebook; "
        "remove the metadata or store the state"
    ]


def size(path: Path) -> list[str]:
    megabytes = path.stat().st_size / 1e6
    return [f"{megabytes:.2f} MB; {MEGABYTES} are allowed"] if megabytes > MEGABYTES else []


def dead_links(markdown: str, page: Path) -> list[str]:
    """Relative links of a page that lead to no file, or to no heading of the file."""
    complaints = []
    text = re.sub(r"```.*?```|`[^`\n]*`", "", markdown, flags=re.DOTALL)
    targets = re.findall(r"\]\(<?([^)\s>]+)>?(?:\s+\"[^\"]*\")?\)", text)
    targets += re.findall(r"(?:href|src)=[\"']([^\"']+)", text)
    for target in targets:
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (page.parent / file).resolve() if file else page
        if not there.exists():
            complaints.append(f"{page.name}: {target} does not exist")
        elif anchor and there.suffix in (".md", ".ipynb") and anchor.lower() not in anchors(there):
            complaints.append(f"{page.name}: {target}: no such heading")
    return complaints


def prose(page: Path) -> str:
    """The Markdown of a page: a Markdown file, or the text cells of a notebook."""
    if page.suffix != ".ipynb":
        return page.read_text(encoding="utf-8")
    notebook = json.loads(page.read_text(encoding="utf-8"))
    return "\n\n".join(text for _, _, text in cells(notebook, "markdown"))


def anchors(page: Path) -> set[str]:
    """What a link may name after '#': headings in small letters, as GitHub or Jupyter has them."""
    lines = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    headings = [re.sub(r"[`*]", "", line).strip() for line in lines]
    github = {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}
    return github | {heading.lower().replace(" ", "-") for heading in headings}
