"""Run a lesson as readers do who do not go from top to bottom. `make twice` asks all lessons.

`complaints`: Run All, then every cell once more, from the last to the first. Backwards, so that a
cell meets what all later cells left behind, as it does for a reader who scrolls up and runs it
again. `last_section_alone`: after a restart, the last section with what its first line names.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from scripts.sections import HEADING, needs
from tests.support.guards import MARKER

SECONDS = 180  # of a cell, at most


def complaints(path: Path) -> list[str]:
    """What goes wrong, a sentence a cell; run under ``JATLAB_SHORT=1``."""
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook, timeout=SECONDS, resources={"metadata": {"path": str(path.parent)}}
    )
    cells = [(k, cell) for k, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    found = []
    with client.setup_kernel():
        for number, cell in cells:
            found += _run(client, cell, number, "the first time")
        first = {number: printed(cell) for number, cell in cells}
        for number, cell in reversed(cells):
            found += _run(client, cell, number, "again after Run All")
            if cell.source.startswith(MARKER) and printed(cell) != first[number]:
                found.append(f"cell {number} prints something else when run again: {printed(cell)}")
    return found


def last_section_alone(path: Path) -> list[str]:
    """What goes wrong in the last section after a restart; run under ``JATLAB_SHORT=1``."""
    notebook = nbformat.read(path, as_version=4)
    needed = needs(notebook, path.name[:2])
    last = max(needed)
    wanted, section, found = needed[last] | {0, last}, 0, []
    client = NotebookClient(
        notebook, timeout=SECONDS, resources={"metadata": {"path": str(path.parent)}}
    )
    with client.setup_kernel():
        for number, cell in enumerate(notebook.cells):
            if cell.cell_type == "markdown":
                section = max([section, *(int(m[2]) for m in HEADING.finditer(cell.source))])
            elif section in wanted:
                found += _run(client, cell, number, f"with sections {sorted(wanted)} alone")
    return found


def _run(client: NotebookClient, cell: nbformat.NotebookNode, number: int, when: str) -> list[str]:
    try:
        client.execute_cell(cell, number)
    except CellExecutionError as error:
        return [f"cell {number}, run {when}, ends in {error.ename}: {error.evalue}"]
    return []


def printed(cell: nbformat.NotebookNode) -> str:
    """What a cell has printed."""
    return "".join(one.get("text", "") for one in cell.outputs)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        place = Path(name).resolve()
        told = last_section_alone(place) + complaints(place)
        print(
            name, *(told or ["the last section and every cell run again"]), sep="\n  ", flush=True
        )
