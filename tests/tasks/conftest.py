import pytest

from jatlab.tasks import registry


@pytest.fixture(autouse=True)
def published_tasks_alone(monkeypatch):
    """Other test modules register tasks of their own; here there are the 157, and what a test adds
    goes with it.
    """
    monkeypatch.setattr(registry, "_TASKS", {task.name: task for task in registry._published()})
    monkeypatch.setattr(registry, "_MAKERS", {})
