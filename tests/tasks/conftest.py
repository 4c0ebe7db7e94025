import pytest

from jatlab.tasks import registry


@pytest.fixture(autouse=True)
def published_tasks_only(monkeypatch):
    """Hide the tasks that other test modules register; what a test here adds goes with it."""
    published = {task.name: task for task in registry.published_tasks()}
    monkeypatch.setattr(registry, "_TASKS", published)
    monkeypatch.setattr(registry, "_MAKERS", {})
