"""What a training batch predicts: shares that cannot be, and models that cannot follow."""

import pytest
import torch

from jatlab import JatConfig
from jatlab.model import JatModel, Objective
from tests.support.helpers import small


@pytest.mark.parametrize(
    "share, message",
    [
        ({"past_action_dropout": 1.5}, "past_action_dropout 1.5 is a share"),
        ({"past_action_dropout": 1}, "set the model's hide_past_actions"),
        ({"frames_predicted": 0}, "frames_predicted 0 is a share"),
        ({"observations_predicted": 0}, "observations_predicted 0 is a share"),
    ],
)
def test_impossible_shares_are_told(share, message):
    with pytest.raises(ValueError, match=message):
        Objective(**share)


def test_action_only_batches_need_hidden_actions():
    message = "need observations that never see past actions"
    with pytest.raises(ValueError, match=message):
        Objective(observations_predicted=0.5).check(JatConfig())
    model = JatModel(small()).train()
    model.objective = Objective(observations_predicted=0.5)
    inputs = dict(
        continuous_observations=torch.zeros(1, 2, 3), continuous_actions=torch.zeros(1, 2, 2)
    )
    with pytest.raises(ValueError, match=message):
        model(**inputs)
    assert model.eval()(**inputs).loss is not None
