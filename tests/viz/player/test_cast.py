"""Choosing who plays: other agents, two side by side, and you."""

import asyncio

import numpy as np
import pytest

import jatlab
from jatlab import RetrieveAndPlay
from jatlab.agents.checkpoints import save_agent, shipped_agents
from jatlab.viz.player.app import Player
from jatlab.viz.player.cast import Cast
from jatlab.viz.player.watching import Watch
from tests.support.little_tasks import GRID, OPEN, PUSH
from tests.viz.player.driving import change, click, until


def test_agents_that_ship_and_your_own_are_there(agent, tmp_path):
    save_agent(agent, tmp_path / "mine")
    cast = Cast(agent, tmp_path)
    assert cast.others == [*shipped_agents(), str(tmp_path / "mine")]
    assert cast.menu(GRID)[:3] == [("tiny", "agent"), ("random", "random"), ("you", "you")]
    own = cast.agent(str(tmp_path / "mine"))
    assert own.model.config == agent.model.config and cast.agent(str(tmp_path / "mine")) is own
    mini = jatlab.load_agent("jatlab-mini")
    assert "jatlab-mini" not in Cast(mini, tmp_path).others  # it is the one given


def test_another_agent_is_chosen_by_its_name(player):
    change(player, "task", "babyai-go-to-obj")
    change(player, "who", "jatlab-mini")
    assert player.agent.info["name"] == "jatlab-mini" and player.watch.attends
    assert player.temperature == player.agent.temperature
    layers = player.agent.model.config.num_layers
    assert len(player.controls.menus["layer"].options) == layers + 1
    player.advance(2)
    assert player.watch.moments[-1].attention.shape[0] == layers
    assert player.about == "learnt by this agent"


def test_an_agent_that_is_not_there_is_an_error(player):
    with pytest.raises(FileNotFoundError, match="no agent 'nobody'"):
        player.choose(who="nobody")


def test_two_play_the_same_seed_side_by_side(agent):
    with Player(agent, GRID, seed=5, beside="random", endless=False) as player:
        assert len(OPEN) == 2
        player.advance(3)
        assert player.rival.length == player.watch.length == 3
        np.testing.assert_array_equal(
            player.rival.moments[3].observed, player.watch.moments[3].observed
        )
        assert "random, beside" in player.controls.texts["rival"].value
        assert player.controls.image_beside.value[:2] == b"\xff\xd8"
        change(player, "index", 1)
        assert "<strong>1</strong>" in player.controls.texts["rival"].value
        change(player, "beside", "all")
        assert player.rival is None and len(OPEN) == 1
        assert player.controls.stages[1].layout.display == "none"
    assert OPEN == []


def test_nobody_plays_beside_you_but_others(player):
    offered = [value for _, value in player.controls.menus["beside"].options]
    assert "you" not in offered and "random" in offered
    with pytest.raises(ValueError, match="you play alone"):
        player.choose(beside="you")


def test_it_goes_on_with_the_next_seed(agent, monkeypatch):
    monkeypatch.setattr("jatlab.viz.player.app.REST", 0.01)

    async def script():
        player.choose(speed=60)
        click(player, "Play")
        await until(lambda: player.seed == 9)
        change(player, "task", PUSH)
        assert player.playing  # a change does not stop it
        await until(lambda: player.watch.length > 0)
        click(player, "Pause")

    with Player(agent, GRID, seed=7) as player:
        asyncio.run(script())
        assert player.watch.task == PUSH and not player.playing


def test_a_player_that_was_taken_over_plays_on(agent):
    async def script():
        click(first, "Play")
        await until(lambda: first.watch.length > 1)
        with Player(agent, PUSH):
            assert not first.playing and not first.controls.buttons["Play"].disabled
            click(first, "Play")
            await until(lambda: first.watch.length > 1)
            click(first, "Pause")

    with Player(agent, GRID, endless=False) as first:
        asyncio.run(script())


# --- from demonstrations ---


@pytest.fixture(scope="module")
def retriever():
    """Two demonstrations of PUSH: seeds 5 and 6, each action the number of its timestep."""
    shown = []
    for seed in (5, 6):
        env = jatlab.make_env(PUSH)
        seen = [env.reset(seed=seed)[0], *(env.step(np.zeros(2))[0] for _ in range(11))]
        env.close()
        times = np.arange(12, dtype=np.float32)[:, None] / 12
        shown.append(
            {
                "continuous_observations": np.stack([o["continuous_observation"] for o in seen]),
                "continuous_actions": np.hstack([times, -times]),
                "rewards": np.ones(12, np.float32),
            }
        )
    return RetrieveAndPlay(PUSH, shown)


def test_retrieve_plays_the_task_of_its_demonstrations_alone(agent, retriever):
    with Player(agent, GRID, retriever=retriever) as player:
        assert "retrieve" not in [value for _, value in player.controls.menus["who"].options]
        with pytest.raises(ValueError, match="'retrieve' cannot play app-grid"):
            Watch(agent, GRID, who="retrieve", retriever=retriever)
        change(player, "task", PUSH)
        assert "retrieve" in [value for _, value in player.controls.menus["who"].options]
        player.choose(who="retrieve", beside="retrieve")
        player.choose(task=GRID)
        assert player.who == "agent" and player.beside is None
    with pytest.raises(ValueError, match="'retrieve' cannot play app-push"):
        Watch(agent, PUSH, who="retrieve")


def test_retrieve_says_what_it_repeats(agent, retriever):
    chosen = {"who": "retrieve", "beside": "retrieve", "retriever": retriever}
    with Player(agent, PUSH, seed=6, endless=False, **chosen) as player:
        player.advance(4)
        rival = player.rival.moments[-1]
        for moment in (player.watch.moments[-1], rival):
            assert moment.facts.note == "demonstration 1, timestep 4\n0.00 units away"
            np.testing.assert_allclose(moment.action, [4 / 12, -4 / 12], rtol=1e-6)
        for text in ("decision", "rival"):
            words = player.controls.texts[text].value
            assert "demonstration 1, timestep 4, 0.00 units away" in words
        assert player.about == "repeats what was demonstrated"
        said = player.picture
        player.watch.moments[-1].facts.note = ""
        silent = player.picture
        assert (said != silent).any(2).nonzero()[1].min() > 320  # beside the frame
        assert not retriever.retriever._before  # the one given is not played with


# --- you ---


def test_you_play_with_buttons(player):
    change(player, "who", "you")
    controls = player.controls
    names = [widget.description for widget in controls.actions.children[:-1]]
    assert names == ["action 0 (1)", "action 1 (2)", "action 2 (3)"]
    assert '{"1": "act0"' in controls.actions.children[-1].value.replace("&quot;", '"')
    controls.actions.children[2].click()
    moment = player.watch.moments[0]
    assert (player.watch.length, moment.action) == (1, 2)
    assert [chosen for _, _, chosen in moment.facts.bars] == [False, False, True]
    with pytest.raises(ValueError, match="has no action 'jump'"):
        player.act("jump")
    change(player, "who", "agent")
    assert controls.actions.layout.display == "none"
    with pytest.raises(ValueError, match="agent plays"):
        player.act("action 0")


def test_while_it_plays_your_key_counts_once(player):
    async def script():
        player.choose(who="you", speed=60)
        click(player, "Play")
        player.act("action 2")
        await until(lambda: player.watch.done)

    asyncio.run(script())
    actions = [moment.action for moment in player.watch.moments][:12]
    assert actions == [2] + [0] * 11


def test_steps_wait_for_you(player):
    player.choose(who="you")
    player.advance(3)
    assert player.watch.length == 0 and player.controls.buttons["Step"].disabled
