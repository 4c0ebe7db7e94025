"""`jatlab teachers` and `teach`: who shows how a task is done, and how that was found."""

from __future__ import annotations

from typing import Any

from jatlab.cli.needs import for_tasks, need
from jatlab.cli.options import TASKS, Commands, add_json, add_quiet, add_tasks, print_json


def add_teachers(commands: Commands) -> None:
    """Add `teachers`."""
    parser = commands.add("teachers", teachers, "list who teaches what, and how well")
    add = parser.add_argument
    add("tasks", nargs="*", default=["all"], metavar="TASK", help=TASKS)
    add(
        "--measure",
        action="store_true",
        help="measure the returns of teacher and random policy again, "
        "and store them inside the package",
    )
    add(
        "--episodes",
        type=int,
        default=100,
        help="episodes of each task and policy, when measuring",
    )
    add("--workers", type=int, default=2, help="processes, when measuring")
    add_json(parser)
    add_quiet(parser)


def teachers(tasks: list[str], measure: bool, episodes: int, workers: int, json: bool) -> None:
    """Print a table of teachers, and one of Atari's search.

    Args:
        tasks: names, patterns or domains.
        measure: measure teachers and random policy first.
        episodes: of each task and policy, when measuring.
        workers: processes, when measuring.
        json: print JSON in place of tables.
    """
    from jatlab.tasks import expand
    from jatlab.teachers import has_teacher
    from jatlab.teachers.listing import (
        format_searches,
        format_teachers,
        search_table,
        teacher_table,
    )

    names = expand(tasks)
    if measure:
        from jatlab.data.recording.measuring import MEASURED_FILE
        from jatlab.data.recording.measuring import measure as measure_teachers

        need("jatlab teachers --measure", *for_tasks(names))
        taught = [name for name in names if has_teacher(name)]
        measure_teachers(
            taught, episodes, workers, path=MEASURED_FILE, again=True, progress=not json
        )
    if json:
        print_json({"teachers": teacher_table(names), "searches": search_table(names)})
        return
    print(format_teachers(names))
    if searches := format_searches(names):
        print(f"\n{searches}")


def add_teach(commands: Commands) -> None:
    """Add `teach`."""
    parser = commands.add(
        "teach",
        teach,
        "find a controller of a MuJoCo task or an Atari game again, the way the shipped one was "
        "found",
    )
    add_tasks(parser, help="names, patterns ('mujoco-*') or the domain ('mujoco')")
    add = parser.add_argument
    add(
        "--output",
        default="runs/teach",
        help="folder for the search and what it finds; the same command goes on from there",
    )
    add("--rounds", type=int, help="a shorter or longer search than the recipe's")
    add(
        "--seed",
        type=int,
        default=0,
        help="of everything that is drawn; the shipped controllers come from 0",
    )
    add(
        "--install",
        action="store_true",
        help="put what was found into the package, in place of the shipped controller",
    )
    add_quiet(parser)


def teach(tasks: list[str], **arguments: Any) -> None:
    """Search for controllers; see `jatlab.teachers.fitting.teach.teach`."""
    need("jatlab teach", *for_tasks(tasks))
    from jatlab.tasks import expand
    from jatlab.teachers.fitting.recipes import recipe_of
    from jatlab.teachers.fitting.teach import teach

    names = expand(tasks)
    for name in names:  # a task without a recipe fails here, not after an hour of search
        recipe_of(name)
    for name in names:
        teach(name, **arguments)
