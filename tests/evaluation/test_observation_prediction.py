"""Prediction errors on what nobody trained on, beside the guess that nothing changes."""

import numpy as np
import pytest

import jatlab
from jatlab.evaluation.observation_prediction import (
    HELD_OUT_EPISODES,
    HELD_OUT_SEED,
    held_out,
    measure_prediction_error,
)
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.training.dagger import END_OF_SEEDS


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.mark.slow
def test_an_untrained_agent_predicts_nothing(data, monkeypatch):
    monkeypatch.setattr("jatlab.evaluation.observation_prediction.HELD_OUT_EPISODES", 3)
    found = measure_prediction_error(jatlab.Agent.untrained("nano"), "babyai-go-to-obj", data)
    assert found["nothing_changes"] == 1 and 0.5 < found["error"] <= 1
    # a guess over the whole vocabulary
    assert found["action_error"] == pytest.approx(np.log(3072), rel=0.1)


def test_the_demonstrations_are_of_seeds_that_nobody_trains_on(data, monkeypatch):
    monkeypatch.setattr("jatlab.evaluation.observation_prediction.HELD_OUT_EPISODES", 3)
    notes = held_out("babyai-go-to-obj", data) / "babyai-go-to-obj" / "recording.json"
    last = HELD_OUT_SEED + HELD_OUT_EPISODES - 1
    assert END_OF_SEEDS <= HELD_OUT_SEED and last < FIRST_SEED  # relabelled; evaluated
    assert f'"seed": {HELD_OUT_SEED}' in notes.read_text()
