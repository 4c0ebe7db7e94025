import pytest

from tests.evaluation.seed_env import SeedEnv


@pytest.fixture(autouse=True)
def fresh_counts():
    SeedEnv.resets, SeedEnv.closed, SeedEnv.alive = [], 0, 0
