"""The ablations' variants change what they say, and the reach of attention patterns is right."""

import pytest
import torch

from jatlab.experiments.ablations import (
    ABLATIONS,
    reach_of,
    recipe,
    to_recall,
    with_kappa,
    with_layers,
)
from jatlab.model import JatModel
from jatlab.model.config import JatConfig


def config_of(variant):
    return JatConfig.preset("nano", **recipe(variant, 0, "data", "out").model)


def test_variants_change_what_they_say():
    kappa = config_of(with_kappa(0.2))
    assert (kappa.observation_loss_coef, kappa.action_loss_coef) == (0.2, 0.8)
    assert kappa.hidden_size == 96
    layers = config_of(with_layers("local", 8))
    assert layers.attention_layers == ["local"] * 4 and layers.window_size == 8
    for ablation in ABLATIONS.values():
        assert len({variant.name for variant in ablation.variants}) == len(ablation.variants)


def test_published_kappa_comes_first():
    assert ABLATIONS["observation-loss"].variants[0].value == JatConfig().observation_loss_coef


@pytest.mark.parametrize(
    ("kind", "window", "reach"),
    [("local", 8, 12), ("local", 4, 4), ("local", 2, 0), ("dual", 2, 63), ("global", 8, 63)],
)
def test_reach(kind, window, reach):
    assert reach_of(JatConfig.preset("nano", **with_layers(kind, window).model)) == reach


def test_nothing_beyond_the_reach_changes_an_observation():
    """The count is right: change the first observation, and see how far it is felt."""
    torch.manual_seed(0)
    config = config_of(to_recall("local", 8))
    model = JatModel(config).eval()
    first = torch.zeros(1, 32, 5)
    second = first.clone()
    second[0, 0, 1] = 1

    @torch.no_grad()
    def hidden(observations):
        """What the trunk makes of each observation, (32, H)."""
        actions, rewards = torch.zeros(1, 32, dtype=torch.long), torch.zeros(1, 32)
        output = model(
            continuous_observations=observations,
            discrete_actions=actions,
            rewards=rewards,
            return_loss=False,
        )
        return output.last_hidden_state[0, ::2]

    felt = (hidden(first) - hidden(second)).abs().amax(-1) > 1e-7
    assert felt.nonzero().max() == reach_of(config) == 12
