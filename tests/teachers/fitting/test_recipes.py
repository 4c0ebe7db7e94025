"""Every controller has a recipe."""

from jatlab.experiments.recipes.mini import GAMES
from jatlab.tasks import task_names
from jatlab.teachers.fitting.recipes import RECIPES


def test_every_controller_has_a_recipe():
    assert set(RECIPES) == {*task_names("mujoco"), *GAMES}
    for name, recipe in RECIPES.items():
        assert recipe.rounds >= 1 and recipe.minutes > 0 and recipe.method, name
