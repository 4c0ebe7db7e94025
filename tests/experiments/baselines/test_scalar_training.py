"""An agent of scalars learns, and a run of an ablation trains one."""

from dataclasses import replace

import numpy as np
import pytest

from jatlab.data.windows import open_source
from jatlab.experiments.ablations import Variant, recipe, run_point
from jatlab.experiments.ablations.variants import RECORDINGS, SCALAR_BATCH
from jatlab.experiments.baselines.scalar_training import batch_loss, train_scalar
from tests.experiments.baselines.test_scalar_model import REACH, TINY

MODEL = TINY | {"max_position_embeddings": 128}
SCALAR = Variant("scalar", (REACH,), token="scalar", steps=2, model=MODEL)


@pytest.mark.slow
def test_training_lowers_the_loss_and_the_run_says_its_cost(tmp_path, monkeypatch):
    monkeypatch.setitem(RECORDINGS, REACH, (4, 0.0))
    run = run_point(SCALAR, episodes=1, data=tmp_path)
    assert run["steps"] == 2 and 0 < run["timesteps"] <= 2 * SCALAR_BATCH
    assert run["act_milliseconds"] > 0
    recipes = [recipe(replace(SCALAR, steps=steps), 0, tmp_path, "") for steps in (1, 30)]
    first, last = map(train_scalar, recipes)
    source = open_source(REACH, tmp_path, first.model.config, first.tokenizer, first.model.context)
    batch = source.batch(source.windows(np.random.default_rng(0)))
    before, after = (batch_loss(agent.model, batch).item() for agent in (first, last))
    assert before > 6 and after < before - 1  # nats; guessing among 1,024 bins costs 6.9


def test_several_tasks_are_refused():
    with pytest.raises(ValueError, match="trains on one task for a number of steps"):
        train_scalar(recipe(replace(SCALAR, tasks=(REACH, "metaworld-push")), 0, "", ""))
