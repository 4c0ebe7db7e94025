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
from collections.abc import Callable
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.agents.agent import Agent
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.tasks import task_names
from jatlab.viz.player.canvas import draw_moment
from jatlab.viz.player.encoding import Encoder
from jatlab.viz.player.watching import Watch, who_plays
from jatlab.viz.video import pillow

if TYPE_CHECKING:
    from jatlab.viz.player.controls import Controls

DRAWN = 12  # pictures a second at most; faster speeds take several timesteps a picture
PAUSE = 0.01  # seconds between two pictures in which the event loop attends to everything else
# what `choose` changes: what begins an episode anew, how it goes on, and how it is shown
ANEW = ("task", "seed", "who", "context", "policy")
PACE = ("temperature", "speed")
LOOKS = ("layer", "head", "index")
WITHOUT_WIDGETS = (
    "The player's buttons need ipywidgets: pip install ipywidgets, restart the kernel and reload "
    "the page. Until then this picture is all there is to see."
)


class Player:
    """An episode with buttons.

    The buttons play, pause, step and reset. Menus and sliders choose task, seed and who plays;
    speed and temperature; layer and head of the attention shown; how much the agent remembers, and
    what happens when that is full. A slider looks back.

    All calls work without a notebook too. `close()` ends the player and its environment; so does
    the end of a `with` block. Of all players only one holds an environment: one that begins an
    episode lets the others go.

    Args:
        agent: The agent.
        task: The task's name; the first that the agent has learnt unless given.
        seed: Of the episode.
        who: Who plays: "agent", "teacher" or "random".
        temperature: Of the agent's decisions, 0 for always the likeliest action; the agent's own
            unless given.
        speed: Timesteps a second.
        context: Timesteps that the agent remembers; all that fit unless given.
        policy: What happens when they are full; the agent's own policy unless given.

    Raises:
        ValueError: The task, the player or the policy is unknown.
        ImportError: The task's environment is not installed.
    """

    _holder: weakref.ref[Player] | None = None  # the player that has an environment
    watch: Watch

    def __init__(
        self,
        agent: Agent,
        task: str | None = None,
        seed: int = FIRST_SEED,
        *,
        who: str = "agent",
        temperature: float | None = None,
        speed: float = 8,
        context: int | None = None,
        policy: str | None = None,
    ) -> None:
        self.agent, self.learnt = agent, list(agent.info.get("data", []))
        self.task = task or (self.learnt or task_names())[0]
        self.seed, self.who = seed, who
        self.context, self.policy = context, policy or agent.cache_policy
        self.temperature = agent.temperature if temperature is None else temperature
        self.speed = speed
        self.layer: int | None = None
        self.head: int | None = None
        self.index, self.closed, self.encoder = -1, False, Encoder()
        self.playing: asyncio.Task[None] | None = None
        self.controls: Controls | None = None
        self._begin()
        self.controls = self._make_controls()
        self._show()

    def _make_controls(self) -> Controls | None:
        try:
            from jatlab.viz.player.controls import Controls
        except ImportError:
            return None
        return Controls(self)

    # --- what the buttons do ---

    def play(self) -> None:
        """Play on, until `pause` or the end of the episode; after the end, the next seed.

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
        if not self.watch.open:
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

    def advance(self, timesteps: int) -> None:
        """Pause, and take so many timesteps, or as many as are left; only the last is drawn."""
        self.pause()
        if self.closed or not (self.watch.open or self.watch.done or self._attempt(self._begin)):
            return

        def take() -> None:
            for _ in range(timesteps):
                self.watch.step()  # nothing, once the episode is over

        self.index = -1
        self._attempt(take)
        self._show()

    def reset(self) -> None:
        """Pause, and begin the episode anew with the task, player, seed and memory chosen."""
        self.pause()
        if not self.closed and self._attempt(self._begin):
            self._show()

    def choose(self, **choices: Any) -> None:
        """Change how the player plays.

        Args:
            **choices: `task`, `seed`, `who`, `context` or `policy` begin the episode anew;
                `temperature`, `speed`, `layer`, `head` or `index` (the timestep looked at) do not.

        Raises:
            ValueError: The player has no such choice.
        """
        known = (*ANEW, *PACE, *LOOKS)
        for name in choices:
            if name not in known:
                raise ValueError(f"the player has no {name!r}; it has {', '.join(known)}")
        vars(self).update(choices)
        if set(choices) & set(ANEW):
            if self.who not in who_plays(self.task):
                self.who = "agent"
            self.reset()
            return
        if "index" in choices:
            self.pause()
        self.watch.temperature = self.temperature
        if set(choices) & set(LOOKS):
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

    @property
    def picture(self) -> np.ndarray:
        """What the player shows now, uint8 (560, 944, 3)."""
        layers = self.agent.model.config.num_layers
        if not (self.layer is None or 0 <= self.layer < layers):
            raise ValueError(f"layer {self.layer}: there are layers 0 to {layers - 1}")
        return draw_moment(self.watch.moments, self._place(), self.layer, self.head, self.about)

    @property
    def about(self) -> str:
        """Who plays, in a few words: whether the agent ever saw the task."""
        if self.watch.who == "teacher":
            return "the teacher plays"
        if self.watch.who == "random":
            return "random actions"
        learnt = self.watch.task in self.learnt
        return "learnt by this agent" if learnt else "never shown to this agent"

    def timings(self, timesteps: int = 20) -> dict[str, float]:
        """Seconds that a picture takes, the median over `timesteps`.

        Plays on from where the episode is, and from its start again where it ends.

        Returns:
            `step` (environment, agent, frame, value of context), `draw`, `encode`, and `picture`,
            their sum. `processor` is the processor's time, whatever else the machine does
            meanwhile.
        """
        self.pause()
        taken: dict[str, list[float]] = {"step": [], "draw": [], "encode": []}
        processor = []
        for _ in range(timesteps):
            if not self.watch.open:
                self._begin()
            times, used = [perf_counter()], process_time()
            self.watch.step()
            times.append(perf_counter())
            picture = self.picture
            times.append(perf_counter())
            self.encoder.jpeg(picture, playing=False)
            times.append(perf_counter())
            processor.append(process_time() - used)
            for name, seconds in zip(taken, np.diff(times), strict=True):
                taken[name].append(float(seconds))
        self._show()
        medians = {name: float(np.median(values)) for name, values in taken.items()}
        total = sum(medians.values())
        return medians | {"picture": total, "processor": float(np.median(processor))}

    def _repr_mimebundle_(
        self, include: object = None, exclude: object = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a cell displays, and metadata.

        The widgets, where there are any, and for pages without them a picture and a sentence.
        """
        buffer = io.BytesIO()
        pillow().Image.fromarray(self.picture).quantize(128).save(buffer, "PNG")
        step = self.watch.moments[self._place()].step
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
            while not self.watch.done:
                began, timesteps = perf_counter(), max(1, round(self.speed / DRAWN))
                for left in reversed(range(timesteps)):
                    self.watch.probing = left == 0  # the value of context is only for pictures
                    self.watch.step()
                self._show()
                await asyncio.sleep(max(PAUSE, timesteps / self.speed - (perf_counter() - began)))
        except Exception as error:
            self._say(f"{type(error).__name__}: {error}")
        finally:
            self.watch.probing = True
            if self.playing is this:
                self.playing = None
                self._show(keep=True)

    def _begin(self) -> None:
        """A new episode in a new environment; whoever held one lets it go."""
        other = None if Player._holder is None else Player._holder()
        if other is not None:
            taken = "Another player took over; Reset or Play begins anew here."
            other._release("" if other is self else taken)
        self.watch = Watch(self.agent, self.task, self.seed, self.who, self.context, self.policy)
        self.watch.temperature, self.index = self.temperature, -1
        Player._holder = weakref.ref(self)

    def _release(self, why: str) -> None:
        if self.playing:
            self.playing.cancel()
        self.playing = None
        self.watch.close()
        if why:
            self._say(why)

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

    def _place(self) -> int:
        """Where in `watch.moments`, which are the last ones only, `index` is; -1 for the last."""
        if self.index < 0:
            return -1
        return int(np.clip(self.index - self.watch.moments[0].step, 0, len(self.watch.moments) - 1))

    def _show(self, keep: bool = False) -> None:
        """Bring the widgets up to date; `keep` what they say."""
        if self.controls and not self.closed:
            picture = self.encoder.jpeg(self.picture, playing=bool(self.playing))
            self.controls.show(picture, keep)

    def _say(self, words: str) -> None:
        if self.controls:
            self.controls.say(words)
