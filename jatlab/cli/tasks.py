"""`jatlab tasks`."""

from __future__ import annotations

from jatlab.cli.options import TASKS, Commands, add_json, print_json


def add_tasks(commands: Commands) -> None:
    """Add `tasks`."""
    parser = commands.add(
        "tasks", tasks, "list the tasks with domain, observation, action and scores"
    )
    parser.add_argument("tasks", nargs="*", default=["all"], metavar="TASK", help=TASKS)
    add_json(parser)


def tasks(tasks: list[str], json: bool) -> None:
    """Print a table of tasks, without importing any environment or torch."""
    from jatlab.tasks import expand
    from jatlab.tasks.listing import print_tasks, task_table

    print_json(task_table(expand(tasks))) if json else print_tasks(expand(tasks))
