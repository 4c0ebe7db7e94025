"""Recipes are read from YAML as plain data; what a run writes is read back as it was."""

from dataclasses import asdict, replace

import pytest

from jatlab.cli import main
from jatlab.training.log import read_log
from jatlab.training.recipe import TrainConfig
from jatlab.training.recipe_file import read_recipe, write_recipe
from jatlab.training.trainer import train


def written(tmp_path, text):
    path = tmp_path / "recipe.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_written_is_read_back(tmp_path):
    config = TrainConfig(
        tasks=["metaworld"], minutes=3, lr=1e-5, windows={"mujoco": 8}, track=["wandb"],
        model={"hidden_size": 64}, task_weights={"babyai-*": 2.5}, output="Läufe/eins",
    )  # fmt: skip
    path = write_recipe(replace(config, resume=True), tmp_path)
    assert TrainConfig(**read_recipe(path)) == config
    assert set(read_recipe(path)) == set(asdict(config))


def test_numbers_are_numbers_however_they_are_written(tmp_path):
    found = read_recipe(written(tmp_path, "lr: 1e-3\nminutes: 5\nsteps: 7\ntasks: metaworld\n"))
    assert found == {"lr": 0.001, "minutes": 5.0, "steps": 7, "tasks": "metaworld"}
    assert [type(found[name]) for name in ("lr", "minutes", "steps")] == [float, float, int]


@pytest.mark.parametrize(
    "text, message",
    [
        ("step: 10", "no field 'step'; did you mean steps"),
        ("colour: red", "no field 'colour'. The fields are data, stream"),
        ("steps: many", "steps is 'many': expected a whole number or none"),
        ("steps: 1.5", "steps is 1.5: expected a whole number"),
        ("mix: 1", "mix is 1: expected true or false"),
        ("lr: high", "lr is 'high': expected a finite number"),
        ("model: [1]", "model is .*: expected a mapping"),
        ("- steps", "a line for each field"),
        ("", "a line for each field"),
        ("steps: [", "no recipe that can be read"),
        ("data: !!python/object/apply:os.getcwd []", "no recipe that can be read"),
    ],
)
def test_mistakes_are_named(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(ValueError, match=message) as error:
        read_recipe(path)
    assert str(path) in str(error.value)


def test_a_run_writes_its_recipe_and_the_command_repeats_it(recipe, tmp_path, capsys):
    folder = train(replace(recipe, steps=2, tasks=["metaworld-reach"]))
    again = tmp_path / "again"
    command = ["train", "--config", str(folder / "recipe.yaml"), "--output", str(again)]
    assert main([*command, "--steps", "3"]) == 0
    assert read_recipe(again / "recipe.yaml") == read_recipe(folder / "recipe.yaml") | {
        "output": str(again),
        "steps": 3,
    }
    # the same until the learning rates of two and of three steps part
    first, second = read_log(folder)[0], read_log(again)[0]
    assert first["loss"] == second["loss"]
    assert main([*command, "--resume", str(folder)]) == 2
    assert "not both" in capsys.readouterr().err
