"""The rollout player: watch an agent in a notebook, timestep by timestep, and change how it plays.

    from jatlab.viz.player.app import Player
    Player(agent, task="babyai-go-to-local")        # the last line of a cell

It needs only plain ipywidgets and no thread. While it plays, a coroutine on the notebook's event
loop takes a step, draws, and lets the loop attend to buttons and other cells. Without ipywidgets
the same calls work (`step`, `advance`, `picture`), and a cell displays a picture and a sentence.
"""

from __future__ import annotations

import asyncio
import io
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from jatlab.agents.agent import Agent
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.tasks.task import Action
from jatlab.utils.checks import require, whole_number
from jatlab.viz.player.session import Session
from jatlab.viz.player.timing import time_pictures
from jatlab.viz.video import pillow

if TYPE_CHECKING:
    from jatlab.agents.retrieval.retrieve import RetrieveAndPlay
    from jatlab.viz.player.controls import Controls

DRAWN = 15  # pictures a second at most; faster speeds take several timesteps a picture
PAUSE = 0.01  # seconds between two pictures in which the event loop attends to everything else
REST = 1.0  # seconds that the end of an episode stays before the next one begins
WITHOUT_WIDGETS = (
    "The player's buttons need ipywidgets: pip install ipywidgets, restart the kernel and reload "
    "the page. Until then this picture is all there is to see."
)


class Player(Session):
    """An episode with buttons.

    The buttons play, pause, step, reset and save. Menus and sliders choose task, seed, who plays,
    and who plays the same seed beside them; speed and temperature; layer and head of the attention
    shown; how much the agent remembers, and what happens when that is full. A slider looks back.
    Keys work after a click into the player: space plays and pauses, the arrows go a timestep, the
    brackets change the speed; and if you play, each action has a key.

    All calls work without a notebook too. `close()` ends the player and its environment; so does
    the end of a `with` block. Of all players only one holds an environment: one that begins an
    episode lets the others go.

    Args:
        agent: The agent.
        task: The task's name; the first that the agent has learnt unless given.
        seed: Of the episode.
        who: Who plays: "agent", "retrieve", "teacher", "random", "you", or another agent's name,
            as `jatlab.load_agent` takes it.
        beside: Who plays the same seed beside them; nobody unless given.
        temperature: Of the agent's decisions, 0 for the likeliest action; its own unless given.
        speed: Timesteps a second.
        endless: Whether the next seed follows when an episode ends while it plays.
        context: Timesteps that the agent remembers; all that fit unless given.
        policy: What happens when they are full; the agent's own policy unless given.
        retriever: Who "retrieve" is, in the task of its demonstrations.

    Raises:
        ValueError: The task, the player or the policy is unknown.
        ImportError: The task's environment is not installed.
    """

    _holder: weakref.ref[Player] | None = None  # the player that has an environment

    def __init__(
        self,
        agent: Agent,
        task: str | None = None,
        seed: int = FIRST_SEED,
        *,
        who: str = "agent",
        beside: str | None = None,
        temperature: float | None = None,
        speed: float = 8,
        endless: bool = True,
        context: int | None = None,
        policy: str | None = None,
        retriever: RetrieveAndPlay | None = None,
    ) -> None:
        super().__init__(agent, task, seed, who, beside, temperature, context, policy, retriever)
        self.speed, self.endless, self.closed = speed, endless, False
        self.pending: str | None = None  # the action that you have chosen while it plays
        self.controls: Controls | None = None
        self._begin()
        self.controls = self._make_controls()
        self._show()

    def _make_controls(self) -> Controls | None:
        try:
            from jatlab.viz.player.controls import Controls
        except ImportError:
            return None  # without ipywidgets
        return Controls(self, self._calls())

    def _calls(self) -> dict[str, Callable[..., Any]]:
        """What the controls call, by the names of buttons."""
        return {
            "Play": self.play,
            "Pause": self.pause,
            "Step": self.step,
            "Back": self.back,
            "Reset": self.reset,
            "Slower": lambda: self.choose(speed=max(1, round(self.speed / 1.5))),
            "Faster": lambda: self.choose(speed=min(60, max(self.speed + 1, self.speed * 1.5))),
            "Save film": lambda: self._keep(lambda: [self.save()]),
            "Save page": lambda: self._keep(lambda: [self.save(f"{self.task}-{self.seed}.html")]),
            "Save my play": lambda: self._keep(self.save_mine),
            "choose": self.choose,
            "act": self.act,
        }

    def _keep(self, write: Callable[[], Sequence[Path]]) -> None:
        """Pause, write files, and say which."""
        self.pause()
        self._say("Writing …")
        self._attempt(lambda: self._say(f"Written: {', '.join(map(str, write()))}"))
        if self.controls:
            self.controls.enable()

    # --- what the buttons do ---

    def play(self) -> None:
        """Play on, until `pause`; or until the end of the episode, if it is not `endless`.

        After the end the next seed follows. Where you play and press nothing, nothing is done.

        Raises:
            RuntimeError: There is no running event loop, as a notebook has.
        """
        if self.closed or self.playing:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "playing needs a running event loop, as a notebook has one; "
                "elsewhere use player.advance(20)"
            ) from None
        if self.over or not self.watch.open:
            self.seed += self.watch.done
            if not self._attempt(self._begin):
                return
        self.index, self.playing = -1, loop.create_task(self._play())
        self._show()

    def pause(self) -> None:
        """Stop playing; the episode can go on."""
        if self.playing:
            self.playing.cancel()
        self.playing = None
        self._show()

    def step(self) -> None:
        """Pause, and take one timestep."""
        self.advance(1)

    def back(self) -> None:
        """Pause, and look one timestep further back."""
        place = self.place
        self.choose(index=max(self.watch.moments[0].step, self.watch.moments[place].step - 1))

    def advance(self, timesteps: int) -> None:
        """Pause, and take so many timesteps (ValueError for a fraction); the last is drawn."""
        timesteps = whole_number(timesteps, "timesteps")
        self.pause()
        if self.closed or not (self.watch.open or self.watch.done or self._attempt(self._begin)):
            return

        def take() -> None:
            for _ in range(timesteps):
                self.take()  # nothing, once the episode is over

        self.index = -1
        self._attempt(take)
        self._show()

    def act(self, name: str) -> None:
        """Do an action of yours, by its name; while it plays, with the next timestep.

        Raises:
            ValueError: You do not play, or there is no such action.
        """
        require(self.who == "you", f"{self.who} plays: choose(who='you') first")
        action = self.watch.pad.action(name)
        if self.playing:
            self.pending = name
            return
        self.index = -1
        self._attempt(lambda: self.take(action))
        self._show()

    def reset(self) -> None:
        """Pause, and begin the episode anew with the task, player, seed and memory chosen."""
        self.pause()
        if not self.closed and self._attempt(self._begin):
            self._show()

    def choose(self, **choices: Any) -> None:
        """Change how the player plays.

        Args:
            **choices: `task`, `seed`, `who`, `beside`, `context` or `policy` begin the episode
                anew; `temperature`, `speed`, `endless`, `layer`, `head` or `index` (the timestep
                looked at) do not.

        Raises:
            ValueError: The player has no such choice.
        """
        if self.change(choices):
            again = bool(self.playing)
            self.reset()
            if again and self.watch.open:
                self.play()
            return
        if "index" in choices:
            self.pause()
        self._show()

    def close(self) -> None:
        """End playing, close the environment, take the buttons away; twice does no harm."""
        if self.closed:
            return
        self._release("This player is closed.")
        self.closed = True
        if self.controls:
            self.controls.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # --- what can be seen ---

    def timings(self, timesteps: int = 20) -> dict[str, float]:
        """Seconds that a picture takes, the median over `timesteps`.

        Plays on from where the episode is, and from its start again where it ends.

        Returns:
            `step` (environment, agent, frame, value of context), `draw` (text, bars and small
            pictures), `encode` (the frame), and `picture`, their sum. `processor` is the
            processor's time, whatever else the machine does meanwhile.
        """
        self.pause()
        taken = time_pictures(self, timesteps)
        self._show()
        return taken

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a cell displays: widgets, if any, a picture and a sentence; and metadata."""
        buffer = io.BytesIO()
        pillow().Image.fromarray(self.picture).quantize(128).save(buffer, "PNG")
        step = self.watch.moments[self.place].step
        said = f"The rollout player at timestep {step} of {self.task}, seed {self.seed}."
        metadata = {"image/png": {"alt": said}}
        if self.controls is None:
            text = f"{said} {WITHOUT_WIDGETS}"
            return {"image/png": buffer.getvalue(), "text/plain": text}, metadata
        bundle = {"image/png": buffer.getvalue(), "text/plain": said}
        return bundle | self.controls.bundle(), metadata

    # --- how ---

    async def _play(self) -> None:
        """Take timesteps at the chosen speed, draw, let others run; to the end or a cancel."""
        this = asyncio.current_task()
        try:
            while await self._goes_on():
                began, timesteps = perf_counter(), max(1, round(self.speed / DRAWN))
                for left in reversed(range(timesteps)):
                    self.watch.probing = left == 0  # the value of context is only for pictures
                    self.take(self._mine_now())
                self._show()
                await asyncio.sleep(max(PAUSE, timesteps / self.speed - (perf_counter() - began)))
        except Exception as error:
            self._say(f"{type(error).__name__}: {error}")
        finally:
            self.watch.probing = True
            if self.playing is this:
                self.playing = None
                self._show(keep=True)

    async def _goes_on(self) -> bool:
        """Whether there is a timestep to take; after an end the next seed begins, if `endless`."""
        if not self.over:
            return True
        if self.endless:
            await asyncio.sleep(REST)
            self.seed += 1
            self._begin()
        return self.endless

    def _mine_now(self) -> Action | None:
        """Where you play: the action that you have chosen since the last timestep, or nothing."""
        if self.who != "you":
            return None
        name, self.pending = self.pending, None
        return self.watch.pad.action(name) if name else self.watch.pad.idle

    def _begin(self) -> None:
        """A new episode in a new environment; whoever held one lets it go."""
        other = None if Player._holder is None else Player._holder()
        if other is not None and other is not self:
            other._release("Another player took over; Play and Reset go on here.")
        self.begin()
        Player._holder = weakref.ref(self)

    def _release(self, why: str) -> None:
        if self.playing:
            self.playing.cancel()
        self.playing = None
        self.leave()
        self._say(why)
        if self.controls and not self.closed:
            self.controls.enable()

    def _attempt(self, action: Callable[[], None]) -> bool:
        """Whether it went well; errors are told beside the buttons, or raised without them."""
        try:
            action()
        except Exception as error:
            if self.controls is None:
                raise
            self._say(f"{type(error).__name__}: {error}")
            return False
        return True

    def _show(self, keep: bool = False) -> None:
        """Bring the widgets up to date; `keep` what they say."""
        if self.controls and not self.closed:
            self.controls.show(keep)

    def _say(self, words: str) -> None:
        if self.controls and words:
            self.controls.say(words)
