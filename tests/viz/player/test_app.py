"""The rollout player, driven headless: buttons are clicked, menus and sliders changed, as a reader
does.
"""

import asyncio
import sys
import threading
import time

import gymnasium as gym
import numpy as np
import pytest
import torch

from jatlab.agents.agent import Agent, rollout
from jatlab.model import JatModel
from jatlab.model.config import JatConfig
from jatlab.tasks import Task, make_env, register
from jatlab.viz.context import ContextProbe, value_of_context
from jatlab.viz.player.app import DRAWN, Player
from jatlab.viz.player.canvas import HEIGHT, WIDTH, draw_moment, picture_of
from jatlab.viz.player.watching import Watch

GRID, PUSH, GAME, BROKEN = "app-grid", "app-push", "app-game", "app-broken"
TINY = dict(
    hidden_size=24, num_layers=2, num_heads=2, attention_types=[[["global", "local"], 1]], max_position_embeddings=16, window_size=6, vocab_size=3072,
    tokenizer="jatlab", discrete_bottleneck=2, predict_discrete_observations=True, discrete_decoder_size=4, image_channels=(8, 8, 8), image_pool=2,
    max_continuous_size=12, initializer_range=0.3,
)  # fmt: skip
OPEN = []  # environments that nobody has closed


class Little(gym.Env):
    """Twelve steps that change with time, seed and action; pays one a step."""

    def __init__(self, task):
        spaces = gym.spaces
        grid = spaces.Dict(
            {
                "discrete_observation": spaces.MultiDiscrete([8] * 148),
                "text_observation": spaces.Text(100),
            }
        )
        image = spaces.Dict({"image_observation": spaces.Box(0, 255, (4, 84, 84), np.uint8)})
        self.task = task
        self.observation_space = {
            "discrete": grid,
            "continuous": spaces.Box(-9, 9, (3,), np.float32),
            "image": image,
        }[task.observation]
        self.action_space = (
            spaces.Box(-1, 1, (2,), np.float32)
            if task.action == "continuous"
            else spaces.Discrete(task.action_size)
        )
        OPEN.append(self)

    def _observe(self):
        numbers = np.random.default_rng([self.first, self.time])
        if self.task.observation == "discrete":
            return {
                "discrete_observation": numbers.integers(0, 8, 148),
                "text_observation": "go to the <red> door",
            }
        if self.task.observation == "image":
            return {"image_observation": numbers.integers(0, 255, (4, 84, 84)).astype(np.uint8)}
        return numbers.normal(size=3).astype(np.float32)

    def reset(self, *, seed=None, options=None):
        self.time, self.first = 0, seed
        return self._observe(), {}

    def step(self, action):
        self.time += 1
        if self.task.name == BROKEN and self.time == 3:
            raise ValueError("the gearbox broke")
        return self._observe(), 1.0, self.time == 12, False, {"success": True}

    def render(self):
        return np.full((40, 60, 3), 10 * self.time, np.uint8)

    def close(self):
        if self in OPEN:
            OPEN.remove(self)


for name, observation, size, action, choices in (
    (GRID, "discrete", 148, "discrete", 3), (PUSH, "continuous", 3, "continuous", 2), (GAME, "image", 4 * 84 * 84, "discrete", 4), (BROKEN, "discrete", 148, "discrete", 3),
):  # fmt: skip
    register(
        Task(name, "app", "App-v0", None, observation, size, action, choices),
        lambda task, render_mode=None: Little(task),
    )


def make_agent(**changes) -> Agent:
    return Agent(
        JatModel(JatConfig.from_dict(TINY | changes)),
        info={"name": "tiny", "data": {GRID: {}, PUSH: {}}},
    )


@pytest.fixture(scope="module")
def agent():
    return make_agent()


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No thread, no environment, no task of the event loop outlives a test, and no player has the
    environment.
    """
    before = threading.enumerate()
    yield
    assert threading.enumerate() == before
    assert OPEN == []


@pytest.fixture
def player(agent):
    with Player(agent, GRID, seed=7) as made:
        yield made


def until(condition, seconds=20.0):
    """Let the event loop run until something holds."""

    async def wait():
        begun = time.monotonic()
        while not condition():
            assert time.monotonic() - begun < seconds, "it never came"
            await asyncio.sleep(0.005)

    return wait()


def click(player, name):
    assert not player.controls.buttons[name].disabled, name
    player.controls.buttons[name].click()


def change(player, name, value):
    player.controls.menus[name].value = value


# --- playing
# -------------------------------------------------------------------------------------------------------------------


def test_play_pause_and_end(player):
    async def script():
        change(player, "speed", 40)
        click(player, "Play")
        assert player.controls.buttons["Play"].disabled
        await until(lambda: player.watch.length >= 3)
        click(player, "Pause")
        await asyncio.sleep(0.05)
        length = player.watch.length
        assert 3 <= length < 12 and len(asyncio.all_tasks()) == 1
        await asyncio.sleep(0.2)
        assert player.watch.length == length  # paused means paused
        click(player, "Play")
        await until(lambda: not player.playing)
        assert len(asyncio.all_tasks()) == 1
        return length

    asyncio.run(script())
    assert player.watch.done and player.watch.length == 12 and player.watch.total == 12
    assert "over, with success" in player.controls.status.value
    assert OPEN == []  # an episode that is over needs no environment


def test_play_after_the_end_takes_the_next_seed_and_reset_the_same(player):
    async def script():
        player.advance(99)
        click(player, "Play")
        assert (player.seed, player.watch.length, player.controls.menus["seed"].value) == (8, 0, 8)
        click(player, "Reset")

    asyncio.run(script())
    assert (player.seed, player.watch.length, player.playing) == (8, 0, None)
    player.advance(99)
    click(player, "Reset")
    assert (player.seed, player.watch.length) == (8, 0)


def test_step_takes_one_timestep_and_the_last_one_ends_the_button(player):
    for length in range(1, 13):
        click(player, "Step")
        assert player.watch.length == length
    assert player.controls.buttons["Step"].disabled


def test_fast_speeds_take_several_timesteps_a_picture(player, monkeypatch):
    lengths = []
    monkeypatch.setattr(
        player.controls, "show", lambda *_, **__: lengths.append(player.watch.length)
    )
    player.choose(speed=3 * DRAWN)

    async def script():
        player.play()
        await until(lambda: not player.playing)

    asyncio.run(script())
    assert list(dict.fromkeys(lengths)) == [0, 3, 6, 9, 12]
    assert [bool(moment.context) for moment in player.watch.moments][1:12] == [
        False,
        False,
        True,
    ] * 3 + [False, False]


def test_the_loop_runs_while_the_player_plays(player):
    """Others get their turn at least once a picture."""

    async def script():
        turns = 0
        player.choose(speed=60)
        player.play()
        while player.playing:
            turns += 1
            await asyncio.sleep(0)
        return turns

    assert asyncio.run(script()) >= 3


def test_playing_without_a_loop_says_what_to_do(player):
    with pytest.raises(RuntimeError, match="advance"):
        player.play()


def test_an_error_while_playing_is_told_beside_the_buttons(agent):
    async def script():
        click(player, "Play")
        await until(lambda: not player.playing)

    with Player(agent, BROKEN) as player:
        asyncio.run(script())
        assert player.controls.status.value == "ValueError: the gearbox broke"
        player.controls.menus["task"].value = GRID
        assert player.watch.task == GRID and player.controls.status.value == ""


# --- what the reader changes
# ---------------------------------------------------------------------------------------------------


def test_menus_begin_anew(player):
    player.advance(2)
    change(player, "seed", 11)
    assert (player.watch.seed, player.watch.length) == (11, 0)
    change(player, "task", PUSH)
    assert (player.watch.task, player.watch.length, player.watch.who) == (PUSH, 0, "agent")
    change(player, "who", "random")
    player.advance(2)
    assert player.watch.moments[-1].attention is None and player.about == "random actions"
    change(player, "who", "agent")
    change(player, "context", 2)
    change(player, "policy", "published")
    assert (player.watch.agent.memory.context, player.watch.agent.memory.policy) == (2, "published")


def test_who_can_play_follows_the_task(player):
    change(player, "task", "babyai-go-to-obj")
    assert player.controls.menus["who"].options == ("agent", "teacher", "random")
    change(player, "who", "teacher")
    player.advance(1)
    assert player.about == "the teacher plays" and player.watch.length == 1
    change(player, "task", GRID)
    assert player.watch.who == "agent" and player.controls.menus["who"].value == "agent"


def test_temperature_matters_from_the_next_decision_on(player):
    player.advance(1)
    change(player, "temperature", 0.0)
    player.advance(4)
    for moment in list(player.watch.moments)[2:]:
        shares = [share for _, share, _ in moment.facts["bars"]]
        assert moment.action == int(np.argmax(shares))
    change(player, "temperature", 3.0)
    player.advance(1)
    assert np.std([share for _, share, _ in player.watch.moments[-1].facts["bars"]]) < np.std(
        shares
    )


def test_layer_head_and_looking_back_change_the_picture_and_pause(player):
    player.advance(6)
    pictures = [player.picture]
    for name, value in (("layer", 1), ("head", 1), ("index", 2)):
        change(player, name, value)
        pictures.append(player.picture)
    assert all((a != b).any() for a, b in zip(pictures, pictures[1:]))
    assert player.controls.menus["index"].max == 6
    player.step()
    assert (
        player.watch.length == 7 and player.controls.menus["index"].value == 7
    )  # a step looks at the newest again


def test_menus_say_what_none_means(player):
    assert [player.controls.menus[name].label for name in ("layer", "head", "context")] == [
        "mean",
        "mean",
        "all that fits",
    ]
    change(player, "layer", 1)
    change(player, "layer", "all")
    assert player.layer is None
    with Player(player.agent, GRID, context=3) as other:
        assert other.controls.menus["context"].label == "3 timesteps"


def test_the_slider_pauses(player):
    async def script():
        click(player, "Play")
        await until(lambda: player.watch.length > 2)
        change(player, "index", 1)
        await asyncio.sleep(0.1)
        return player.watch.length

    length = asyncio.run(script())
    assert not player.playing and player.watch.length == length < 12


def test_wrong_choices_are_clear_errors(player, agent):
    with pytest.raises(ValueError, match="'colour'; it has task"):
        player.choose(colour="red")
    with pytest.raises(ValueError, match="'teacher' cannot play app-grid"):
        Player(agent, GRID, who="teacher")
    with pytest.raises(ValueError, match="unknown task"):
        Player(agent, "app-gird")


# --- leaving nothing behind
# ----------------------------------------------------------------------------------------------------


def test_one_player_at_a_time_has_an_environment(agent):
    with Player(agent, GRID) as first, Player(agent, PUSH) as second:
        assert len(OPEN) == 1 and "took over" in first.controls.status.value
        second.advance(1)
        first.advance(1)  # begins anew, and takes it back
        assert first.watch.length == 1 and len(OPEN) == 1
        assert "took over" in second.controls.status.value


def test_closing_ends_playing_and_takes_widgets_and_environment_away(agent):
    async def script():
        player.play()
        await until(lambda: player.watch.length > 0)
        player.close()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == 1

    player = Player(agent, GRID)
    asyncio.run(script())
    length = player.watch.length
    assert OPEN == [] and player.controls.box.comm is None
    player.close()
    for harmless in (player.step, player.reset, player.pause, player.play):
        harmless()
    assert player.watch.length == length and OPEN == []


def test_a_begin_that_fails_leaves_no_environment(agent, monkeypatch):
    monkeypatch.setattr(Little, "render", lambda self: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        Player(agent, GRID)
    assert OPEN == []


def test_whoever_plays_with_the_same_agent_is_not_disturbed(agent):
    env = make_env(PUSH)
    alone = rollout(agent, env, seed=3)["continuous_actions"]
    agent.reset(1, PUSH)
    observation, _ = env.reset(seed=3)
    with Player(agent, PUSH) as player:
        mine = [agent.act(observation)]
        player.advance(2)
        observation, reward, *_ = env.step(mine[0])
        mine.append(agent.act(observation, reward))
    env.close()
    np.testing.assert_allclose(mine, alone[:2], atol=1e-6)
    assert not agent.record_attention


# --- what is displayed
# ---------------------------------------------------------------------------------------------------------


def test_what_a_cell_displays_has_widgets_a_picture_and_words(player):
    bundle, metadata = player._repr_mimebundle_()
    assert "timestep 0 of app-grid" in metadata["image/png"]["alt"]
    assert (
        bundle["application/vnd.jupyter.widget-view+json"]["model_id"]
        == player.controls.box.model_id
    )
    assert bundle["image/png"][:4] == b"\x89PNG" and "app-grid" in bundle["text/plain"]
    assert player.controls.image.value[:2] == b"\xff\xd8"


def test_without_ipywidgets_a_sentence_helps(agent, monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    monkeypatch.delitem(sys.modules, "jatlab.viz.player.controls", raising=False)
    with Player(agent, GRID) as player:
        player.advance(3)
        bundle, _ = player._repr_mimebundle_()
        assert "pip install ipywidgets" in bundle["text/plain"] and set(bundle) == {
            "image/png",
            "text/plain",
        }
        assert player.watch.length == 3


def test_pictures_grow_coarser_where_they_are_large(player):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
    still = len(player._encode(noise))
    player.playing = object.__new__(type("Task", (), {"cancel": lambda self: None}))
    sizes = [len(player._encode(noise)) for _ in range(6)]
    assert (
        sizes[-1] < sizes[0] < still and player.quality == 35
    )  # from 85 in steps of ten, as long as it is above 40
    player.playing = None


def test_timings_name_their_parts(player):
    taken = player.timings(4)
    assert set(taken) == {"step", "draw", "encode", "picture", "processor"}
    assert taken["picture"] == pytest.approx(taken["step"] + taken["draw"] + taken["encode"])
    assert all(value > 0 for value in taken.values())


@pytest.mark.slow
@pytest.mark.parametrize("task", ["babyai-go-to-local", "metaworld-drawer-open", "atari-pong"])
def test_mini_is_drawn_ten_times_a_second_on_one_core(task):
    """In the processor's time, so that a busy machine does not matter."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    with Player(Agent.untrained("mini"), task) as player:
        player.advance(20)
        taken = player.timings(20)
    torch.set_num_threads(threads)
    print(
        f"{task}: {1 / taken['processor']:.0f} pictures a second on one core, {1 / taken['picture']:.0f} measured"
    )
    assert taken["processor"] < 0.1


@pytest.mark.parametrize("task", [GRID, PUSH, GAME])
def test_every_kind_of_observation_is_drawn_with_what_was_expected(agent, task):
    with Player(agent, task) as player:
        first = player.picture
        player.advance(3)
        moment = player.watch.moments[-1]
        assert first.shape == (HEIGHT, WIDTH, 3) == player.picture.shape
        assert moment.expected is not None and moment.expected.shape == moment.observed.shape
        assert player.watch.moments[0].expected is None
        player.advance(99)
        assert player.watch.moments[-1].facts["bars"] == [] and player.picture.shape == first.shape


def test_frames_are_kept_of_the_last_timesteps_only(agent, monkeypatch):
    monkeypatch.setattr("jatlab.viz.player.watching.KEPT", 5)
    with Player(agent, GRID) as player:
        player.advance(9)
        assert [moment.step for moment in player.watch.moments] == [5, 6, 7, 8, 9]
        change(player, "index", 6)
        assert (
            player.watch.moments[player._place()].step == 6
            and player.controls.menus["index"].min == 5
        )


def test_the_picture_of_a_moment_does_not_depend_on_what_came_later(player):
    player.advance(4)
    then = player.picture
    player.advance(5)
    np.testing.assert_array_equal(draw_moment(player.watch.moments, 4, about=player.about), then)


def test_grids_and_frames_have_their_pictures():
    grid = np.zeros(148, np.int64)
    grid[1:] = np.tile([1, 0, 0], 49)
    empty = picture_of(grid)
    grid[1 + 3 * (7 * 2 + 5) :][:3] = (6, 1, 0)  # column 2, row 5: a green ball
    ball = picture_of(grid)
    changed = np.argwhere((ball != empty).any(-1)) // 20
    assert np.unique(changed, axis=0).tolist() == [[5, 2]]
    assert (
        picture_of(np.full((84, 84), -1.0)).max() == 0
        and picture_of(np.ones((84, 84))).min() == 255
    )


# --- the value of context
# ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task, hidden",
    [(GRID, False), (GRID, True), (PUSH, False), (PUSH, True), (GAME, False)],
)
def test_all_of_the_past_gives_what_the_agent_did_and_one_timestep_what_it_would_do_at_the_start(
    task, hidden
):
    agent, env = make_agent(hide_past_actions=hidden), make_env(task)
    episode = rollout(agent, env, seed=5, max_steps=8, record_predictions=True)
    did = (
        episode["probabilities"] if env.task.action == "discrete" else episode["continuous_actions"]
    )
    answers = value_of_context(agent, episode, (1, 3, 8))
    np.testing.assert_allclose(answers[8], did, atol=1e-5)
    np.testing.assert_allclose(answers[3][:3], did[:3], atol=1e-5)
    assert np.abs(answers[3][3:] - did[3:]).max() > 1e-4
    key = f"{env.task.observation}_observation"
    agent.reset(1, task)
    observation = {key: episode[f"{key}s"][5], "text_observation": "go to the <red> door"}
    probe = ContextProbe(agent, (1,))
    probe.add(observation, 0.0)
    alone = agent.act(observation, greedy=True)
    expected = agent.last.probabilities[0] if env.task.action == "discrete" else alone
    np.testing.assert_allclose(probe.ask()[1], expected, atol=1e-5)
    env.close()


def test_lengths_beyond_the_positions_are_an_error(agent):
    agent.reset(1, PUSH)
    with pytest.raises(ValueError, match="from 1 to 8"):
        ContextProbe(agent, (4, 9))


def test_what_is_shown_is_the_share_of_the_action_taken(agent):
    watch = Watch(agent, GRID, seed=2)
    for _ in range(4):
        watch.step()
    moment = watch.moments[-1]
    assert list(moment.context) == [1, 2, 4]
    shares = {name: share for name, share, chosen in moment.facts["bars"] if chosen}
    assert all(0 < value < 1 for value in moment.context.values()) and len(shares) == 1
    watch.close()


def test_a_full_memory_is_kept_by_both_policies(agent):
    for policy in ("recompute", "published"):
        watch = Watch(agent, GRID, context=3, policy=policy)
        while watch.open:
            watch.step()
        assert (
            watch.length == 12
            and max(moment.attention.shape[-1] for moment in list(watch.moments)[:-1]) <= 2 * 3 + 3
        )
