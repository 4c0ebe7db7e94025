"""Fields of configurations and recipes with values of any type."""

import dataclasses

import torch
from hypothesis import given
from hypothesis import strategies as st

from jatlab.agents.settings import AgentSettings
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.training.recipe import TrainConfig
from jatlab.training.recipe_file import read_recipe, write_recipe
from tests.support.fuzzing import JUNK, fuzz, outcome
from tests.support.helpers import small


def some_fields(kind: type) -> st.SearchStrategy:
    """One or two fields of a dataclass with any value."""
    names = [field.name for field in dataclasses.fields(kind)]
    return st.dictionaries(st.sampled_from(names), JUNK, min_size=1, max_size=2)


@fuzz(20)
@given(changes=some_fields(JatConfig))
def test_a_configuration_that_is_accepted_makes_a_model(changes):
    kind, config = outcome("settings", lambda: small().replace(**changes))
    if kind == "right":
        assert JatConfig.from_dict(config.to_dict()) == config
        with torch.device("meta"):
            model = JatModel(config)
        assert model.text_embedding.weight.shape == (config.vocab_size, config.hidden_size)


@fuzz(20)
@given(changes=some_fields(TrainConfig))
def test_a_recipe_that_is_accepted_can_be_written_and_read(changes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("recipe")
    usual = {"steps": 10, "output": str(folder)}
    kind, config = outcome("settings", lambda: TrainConfig(**(usual | changes)))
    if kind == "right":
        again = TrainConfig(**read_recipe(write_recipe(config, folder)))
        assert again == dataclasses.replace(config, resume=False)


@fuzz(10)
@given(changes=some_fields(AgentSettings))
def test_settings_that_are_accepted_can_be_written_and_read(changes, tmp_path_factory):
    folder = tmp_path_factory.mktemp("settings")
    kind, settings = outcome("settings", lambda: AgentSettings(**changes))
    if kind == "right":
        settings.save(folder)
        assert AgentSettings.load(folder) == settings
