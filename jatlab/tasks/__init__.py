"""Tasks by name: static facts, environments and scores.

Importing this package imports no environment.
"""

from jatlab.tasks.registry import (
    domain_of,
    expand,
    get_task,
    language_tasks,
    make_env,
    modules_of,
    register,
    short_name,
    task_names,
)
from jatlab.tasks.scores import Score, TaskScores, normalise, register_scores, task_scores
from jatlab.tasks.task import DOMAINS, Task

__all__ = [
    "DOMAINS",
    "Score",
    "Task",
    "TaskScores",
    "domain_of",
    "expand",
    "get_task",
    "language_tasks",
    "make_env",
    "modules_of",
    "normalise",
    "register",
    "register_scores",
    "short_name",
    "task_names",
    "task_scores",
]
