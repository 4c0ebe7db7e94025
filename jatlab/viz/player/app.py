"""The rollout player: watch an agent in a notebook, timestep by timestep, and turn its knobs while
it plays.

    from jatlab.viz.player.app import Player
    Player(agent, task="babyai-go-to-local")        # the last line of a cell

Plain ipywidgets, no thread: while it plays, a coroutine on the notebook's own event loop takes a
step, draws, and lets the loop attend to buttons and other cells. Without ipywidgets the same calls
work (`step`, `advance`, `picture`), and what a cell displays is a picture and a sentence.
"""

from __future__ import annotations

import asyncio
import io
import weakref
from collections.abc import Callable
from time import perf_counter, process_time

import numpy as np

from jatlab.agents.agent import Agent
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.tasks import task_names
from jatlab.viz.player.canvas import draw_moment
from jatlab.viz.player.watching import Watch, who_plays
from jatlab.viz.video import pillow

DRAWN = 12  # pictures a second at most; faster speeds take several timesteps a picture
PAUSE = 0.01  # seconds between two pictures in which the event loop attends to everything else
BYTES = 60_000  # of a picture while playing: a notebook server lets a megabyte a second through
ANEW, PACE, LOOKS = (
    ("task", "seed", "who", "context", "policy"),
    ("temperature", "speed"),
    ("layer", "head", "index"),
)  # what `choose` changes
WITHOUT = "The player's buttons need ipywidgets: pip install ipywidgets, restart the kernel and reload the page. Until then this picture is all there is to see."


class Player:
    """An episode with buttons: play, pause, step, reset; task, who plays, seed; speed and
    temperature; layer and head of the attention shown; a slider to look back; how much the agent
    remembers, and what happens when that is full.

    All calls work without a notebook too. `close()` ends the player and its environment; so does
    the end of a `with` block. Of all players only one holds an environment: one that begins an
    episode lets the others go. Raises `ValueError` for an unknown task, player or policy,
    `ImportError` where the task's environment is not installed.
    """

    _holder: weakref.ref | None = None  # the player that has an environment

    def __init__(self, agent: Agent, task: str | None = None, seed: int = FIRST_SEED, *, who: str = "agent", temperature: float | None = None, speed: float = 8,
                 context: int | None = None, policy: str | None = None):  # fmt: skip
        self.agent, self.learnt = agent, list(agent.info.get("data", []))
        self.task = task or (self.learnt or task_names())[0]
        self.seed, self.who, self.context, self.policy = (
            seed,
            who,
            context,
            policy or agent.cache_policy,
        )
        self.temperature, self.speed = (
            agent.temperature if temperature is None else temperature,
            speed,
        )
        self.layer = self.head = None
        self.watch, self.playing, self.closed, self.index, self.quality = None, None, False, -1, 85
        self.controls = None
        self._begin()
        try:
            from jatlab.viz.player.controls import Controls

            self.controls = Controls(self)
        except ImportError:
            pass
        self._show()

    # --- what the buttons do
    # -------------------------------------------------------------------------------------------------

    def play(self) -> None:
        """Play on, until `pause` or the end of the episode; after the end, the next seed. Needs a
        running event loop, as a notebook has.
        """
        if self.closed or self.playing:
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise RuntimeError(
                "playing needs a running event loop, as a notebook has one; elsewhere use player.advance(20)"
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
        """Pause, and take so many timesteps, or as many as the episode has left; only the last is
        drawn.
        """
        self.pause()
        if self.closed or not (self.watch.open or self.watch.done or self._attempt(self._begin)):
            return
        self.index = -1
        self._attempt(lambda: [self.watch.step() for _ in range(timesteps) if not self.watch.done])
        self._show()

    def reset(self) -> None:
        """Pause, and begin the episode anew with the task, player, seed and memory that are chosen."""
        self.pause()
        if not self.closed and self._attempt(self._begin):
            self._show()

    def choose(self, **choices) -> None:
        """Change `task`, `seed`, `who`, `context` or `policy`, and begin anew; `temperature`,
        `speed`, `layer`, `head` or `index` (the timestep looked at), and go on.

        Raises `ValueError` for anything else.
        """
        for name in choices:
            if name not in (*ANEW, *PACE, *LOOKS):
                raise ValueError(
                    f"the player has no {name!r}; it has {', '.join((*ANEW, *PACE, *LOOKS))}"
                )
        vars(self).update(choices)
        if set(choices) & set(ANEW):
            if self.who not in who_plays(self.task):
                self.who = "agent"
            return self.reset()
        if "index" in choices:
            self.pause()
        self.watch.temperature = self.temperature
        if set(choices) & set(LOOKS):
            self._show()

    def close(self) -> None:
        """End playing, close the environment and take the buttons away. Closing twice does no harm."""
        if self.closed:
            return
        self._release("This player is closed.")
        self.closed = True
        if self.controls:
            self.controls.close()

    def __enter__(self) -> Player:
        return self

    def __exit__(self, *error) -> None:
        self.close()

    # --- what can be seen
    # ----------------------------------------------------------------------------------------------------

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
        if self.watch.who != "agent":
            return {"teacher": "the teacher plays", "random": "random actions"}[self.watch.who]
        return (
            "learnt by this agent"
            if self.watch.task in self.learnt
            else "never shown to this agent"
        )

    def timings(self, timesteps: int = 20) -> dict[str, float]:
        """Seconds that a picture takes, the median over `timesteps`: `step` (environment, agent,
        frame, value of context), `draw`, `encode`, and `picture`, their sum; and `processor`, what
        a picture takes of the processor's time, whatever else the machine does meanwhile.

        Plays on from where the episode is, and from its start again where it ends.
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
            self._encode(picture)
            times.append(perf_counter())
            processor.append(process_time() - used)
            for name, seconds in zip(taken, np.diff(times), strict=True):
                taken[name].append(float(seconds))
        self._show()
        medians = {name: float(np.median(values)) for name, values in taken.items()}
        return medians | {
            "picture": sum(medians.values()),
            "processor": float(np.median(processor)),
        }

    def _repr_mimebundle_(self, include=None, exclude=None) -> tuple[dict, dict]:
        """What a cell displays, and metadata: the widgets, where there are any, and for pages
        without them a picture and a sentence.
        """
        buffer = io.BytesIO()
        pillow().Image.fromarray(self.picture).quantize(128).save(buffer, "PNG")
        said = f"The rollout player at timestep {self.watch.moments[self._place()].step} of {self.task}, seed {self.seed}."
        bundle = {
            "image/png": buffer.getvalue(),
            "text/plain": said if self.controls else f"{said} {WITHOUT}",
        }
        return bundle | (self.controls.bundle() if self.controls else {}), {
            "image/png": {"alt": said}
        }

    # --- how
    # -----------------------------------------------------------------------------------------------------------------

    async def _play(self) -> None:
        """Take timesteps at the chosen speed, draw, and let others run; until the episode ends or
        somebody cancels.
        """
        this = asyncio.current_task()
        try:
            while not self.watch.done:
                began, timesteps = perf_counter(), max(1, round(self.speed / DRAWN))
                for turn in reversed(range(timesteps)):
                    self.watch.probing = turn == 0  # the value of context is for pictures alone
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
        other = Player._holder and Player._holder()
        if other is not None:
            other._release(
                "" if other is self else "Another player took over; Reset or Play begins anew here."
            )
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

    def _attempt(self, action: Callable) -> bool:
        """Whether it went well; what went wrong is told beside the buttons, or raised where there
        are none.
        """
        try:
            action()
        except Exception as error:
            if self.controls is None:
                raise
            self._say(f"{type(error).__name__}: {error}")
            return False
        return True

    def _place(self) -> int:
        """Where in `watch.moments` the timestep `index` is, -1 for the last; frames are kept of the
        last ones only.
        """
        if self.index < 0:
            return -1
        return int(np.clip(self.index - self.watch.moments[0].step, 0, len(self.watch.moments) - 1))

    def _encode(self, picture: np.ndarray) -> bytes:
        """A JPEG, coarser while playing where pictures are too large for the notebook's server."""
        buffer = io.BytesIO()
        pillow().Image.fromarray(picture).save(
            buffer, "JPEG", quality=self.quality if self.playing else 92
        )
        if self.playing:
            self.quality += (buffer.tell() < BYTES / 2 and self.quality < 85) * 5 - (
                buffer.tell() > BYTES and self.quality > 40
            ) * 10
        return buffer.getvalue()

    def _show(self, keep: bool = False) -> None:
        """Bring the widgets up to date; `keep` what they say."""
        if self.controls and not self.closed:
            self.controls.show(self._encode(self.picture), keep)

    def _say(self, words: str) -> None:
        if self.controls:
            self.controls.say(words)
