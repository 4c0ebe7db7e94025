"""Who played, and what earlier runs into the same folder have left."""

import pytest

from jatlab.agents.settings import AgentSettings
from jatlab.evaluation.evaluate import evaluate
from jatlab.evaluation.records import identity
from tests.evaluation.seed_env import TASK, Recorder, SeedEnv, make


def run(agent=None, **options):
    settings = {"episodes": 6, "envs": 3, "make": make, "progress": False, **options}
    return evaluate(agent or Recorder(), TASK, **settings)


def test_a_second_run_reads_what_the_first_has_written(tmp_path):
    first = run(output=tmp_path)
    SeedEnv.resets = []
    second = run(output=tmp_path)
    assert SeedEnv.resets == []
    assert first["tasks"] == second["tasks"]
    assert [entry.name for entry in (tmp_path / "tasks").iterdir()] == [f"{TASK}.json"]


@pytest.mark.parametrize(
    "change, says",
    [
        ({"episodes": 5}, "episodes 6 instead of 5"),
        ({"greedy": True}, "greedy False instead of True"),
    ],
)
def test_records_of_other_settings_are_not_reused(tmp_path, change, says):
    run(output=tmp_path)
    with pytest.raises(ValueError, match=says):
        run(output=tmp_path, **change)


def test_records_of_another_agent_are_not_reused(tmp_path):
    run(output=tmp_path)
    with pytest.raises(ValueError, match="another evaluation: agent"):
        run(output=tmp_path, agent=Recorder(name="somebody else"))


@pytest.mark.parametrize(
    "change, says",
    [
        ({"windows": {"babyai": 4}}, r"windows \{\} instead of \{'babyai': 4\}"),
        ({"cache_policy": "published"}, "cache_policy 'recompute' instead of 'published'"),
        ({"context": 4}, "context None instead of 4"),
        ({"demonstrations": "25-abc"}, "demonstrations None instead of '25-abc'"),
    ],
)
def test_records_of_the_same_weights_played_otherwise(tmp_path, change, says):
    """Equal weights do not make equal returns: what is remembered and shown counts as well."""

    def player(context=None, demonstrations=None, **settings):
        one = Recorder()
        one.settings, one.context = AgentSettings(**settings), context
        one.demonstrations = demonstrations
        return one

    run(player(), output=tmp_path)
    run(player(temperature=0.5), output=tmp_path, temperature=1.0)  # the evaluation's counts
    with pytest.raises(ValueError, match=says):
        run(player(**change), output=tmp_path)
    assert identity(player())["fingerprint"] == identity(player(**change))["fingerprint"]


def test_records_do_not_depend_on_how_many_environments_played(tmp_path):
    first, second = run(output=tmp_path), run(output=tmp_path, envs=1)
    assert first["tasks"][TASK]["returns"] == second["tasks"][TASK]["returns"]


def test_a_broken_record_is_a_clear_error(tmp_path):
    run(output=tmp_path)
    (tmp_path / "tasks" / f"{TASK}.json").write_text('{"task": "evalu')
    with pytest.raises(ValueError, match="not the record of an evaluated task; delete it"):
        run(output=tmp_path)


def test_identity_tells_weights_apart():
    import torch

    class Player:
        def __init__(self, weight):
            self.info, self.model = {"name": "player"}, torch.nn.Linear(2, 3)
            torch.nn.init.constant_(self.model.weight, weight)
            torch.nn.init.zeros_(self.model.bias)

    one, same, other = identity(Player(0.5)), identity(Player(0.5)), identity(Player(0.25))
    assert one == same and one["parameters"] == 9 and one["name"] == "player"
    assert one["fingerprint"] != other["fingerprint"]


def test_an_untrained_agent_is_the_same_every_time():
    from jatlab.agents.agent import Agent

    one, two = Agent.untrained("nano"), Agent.untrained("nano")
    other = Agent.untrained("nano", seed=1)
    assert identity(one) == identity(two) and identity(one)["name"] == "untrained:nano"
    assert identity(one)["fingerprint"] != identity(other)["fingerprint"]
    with pytest.raises(ValueError, match="unknown preset 'nanno'"):
        Agent.untrained("nanno")
