"""What a player plays: an episode, perhaps another beside it on the same seed, and what is kept."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jatlab.agents.agent import Agent
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.model.memory import POLICIES
from jatlab.tasks import get_task, task_names
from jatlab.tasks.task import Action
from jatlab.utils.checks import checked, require
from jatlab.viz.player.canvas import draw_beside, draw_moment
from jatlab.viz.player.cast import PLAYERS, Cast, who_plays
from jatlab.viz.player.saving import demonstration, film_suffix, rollout_of, save_film
from jatlab.viz.player.watching import Watch
from jatlab.viz.web.export import export_html

if TYPE_CHECKING:
    from jatlab.agents.retrieval.retrieve import RetrieveAndPlay
    from jatlab.data.columns import Episode
    from jatlab.data.recording.playing import Outcome

# what `change` sets: what begins an episode anew, and what does not
ANEW = ("task", "seed", "who", "beside", "context", "policy")
LIVE = ("temperature", "speed", "endless", "layer", "head", "index")
KINDS: dict[str, Any] = {
    "task": str,
    "seed": int,
    "who": str,
    "beside": str | None,
    "context": int | None,
    "policy": str,
    "temperature": float,
    "speed": float,
    "endless": bool,
    "layer": int | None,
    "head": int | None,
    "index": int,
}
MOST_SEED = 2**31 - 1


class Session:
    """Episodes, one after the other; `jatlab.viz.player.app.Player` documents the arguments.

    Attributes:
        watch: The episode.
        rival: The one beside it, if any.
        layer: Whose attention is shown; the mean if None.
        head: Whose attention is shown; the mean if None.
        index: The timestep looked at; -1 for the newest.
        mine: Episodes that you have finished, and not saved yet, by task.
    """

    watch: Watch

    def __init__(
        self,
        agent: Agent,
        task: str | None = None,
        seed: int = FIRST_SEED,
        who: str = "agent",
        beside: str | None = None,
        temperature: float | None = None,
        context: int | None = None,
        policy: str | None = None,
        retriever: RetrieveAndPlay | None = None,
    ) -> None:
        self.cast = Cast(agent, retriever=retriever)
        self.who, self.beside = who, beside
        self.task = task or (self.learnt or task_names())[0]
        self.seed, self.speed, self.endless = seed, 8.0, True
        self.playing: asyncio.Task[None] | None = None
        self.context, self.policy = context, policy or self.agent.cache_policy
        self.temperature = self.agent.temperature if temperature is None else temperature
        self.layer: int | None = None
        self.head: int | None = None
        self.index = -1
        self.rival: Watch | None = None
        self.mine: dict[str, list[tuple[Episode, Outcome]]] = {}
        self._check({name: checked(getattr(self, name), KINDS[name], name) for name in KINDS})

    @property
    def agent(self) -> Agent:
        """The agent that plays; the one given where none does."""
        return self.cast.agent(self.who)

    @property
    def learnt(self) -> list[str]:
        """The tasks that the agent has learnt."""
        return list(self.agent.info.get("data", []))

    def change(self, choices: dict[str, Any]) -> bool:
        """Set what `Player.choose` is given; whether it begins an episode anew.

        Raises:
            ValueError: There is no such choice, or a value that cannot be.
            FileNotFoundError: There is no such agent.
        """
        for name in choices:
            known = (*ANEW, *LIVE)
            require(name in known, f"the player has no {name!r}; it has {', '.join(known)}")
        anew = bool(set(choices) & set(ANEW))
        choices = {name: checked(value, KINDS[name], name) for name, value in choices.items()}
        if "who" in choices:  # another agent plays in its own way
            agent = self.cast.agent(choices["who"])
            own = dict(temperature=agent.temperature, policy=agent.cache_policy)
            choices = own | dict(layer=None, head=None) | choices
        self._check(vars(self) | choices)
        vars(self).update(choices)
        # of a new task there may be no teacher, and no demonstrations
        gone = set(PLAYERS) - set(who_plays(self.task, self.cast.retriever))
        if self.who in gone and "who" not in choices:
            self.who = "agent"
        if self.beside in gone and "beside" not in choices:
            self.beside = None
        self.watch.temperature = self.temperature
        return anew

    def _check(self, then: dict[str, Any]) -> None:
        """Raise unless the player can be so: all that `change` sets, as it would be."""
        require(then["beside"] != "you", "you play alone: choose another player beside you")
        task, policy = then["task"], then["policy"]
        require(get_task(task).playable, f"{task} is read, not played: choose a task with actions")
        known = ", ".join(POLICIES)
        require(policy in POLICIES, f"policy is {policy!r}: expected one of {known}")
        for name, most in (("seed", MOST_SEED), ("temperature", 1e6), ("speed", 1000)):
            value = then[name]
            require(0 <= value <= most, f"{name} is {value!r}: expected 0 to {most:,}")
        require(then["speed"] > 0, "speed is 0: expected timesteps a second")
        config = self.cast.agent(then["who"]).model.config
        limits = {"layer": (0, config.num_layers - 1), "head": (0, config.num_heads - 1)}
        limits["context"] = (2, config.max_timesteps)
        for name, (least, most) in limits.items():
            value = then[name]
            allowed = value is None or least <= value <= most
            require(allowed, f"{name} is {value!r}: expected {least} to {most}, or None for all")

    # --- play ---

    def begin(self) -> None:
        """A new episode, in new environments."""
        self.leave()
        self.watch, self.rival, self.index = self._watch(self.who), None, -1
        if self.beside is not None:
            try:
                self.rival = self._watch(self.beside)
            except BaseException:
                self.leave()
                raise

    def _watch(self, who: str) -> Watch:
        """An episode of one player; only the agent that is shown has the memory chosen."""
        kind, agent = who if who in PLAYERS else "agent", self.cast.agent(who)
        context, policy = (self.context, self.policy) if who == self.who else (None, None)
        retriever = self.cast.retriever
        watch = Watch(agent, self.task, self.seed, kind, context, policy, retriever)
        watch.temperature = self.temperature if who == self.who else agent.temperature
        watch.probing = who == self.who
        return watch

    def take(self, action: Action | None = None) -> None:
        """One timestep of everybody who has not ended; with your action, if you play."""
        was_done = self.watch.done
        self.watch.step(action)
        if self.rival is not None:
            self.rival.step()
        if self.watch.done and not was_done and self.watch.who == "you":
            self.mine.setdefault(self.task, []).append(demonstration(self.watch))

    def leave(self) -> None:
        """Close the environments; what was seen stays."""
        for watch in self.watches:
            watch.close()

    @property
    def watches(self) -> list[Watch]:
        """All episodes that are shown."""
        both = (getattr(self, "watch", None), self.rival)
        return [watch for watch in both if watch is not None]

    # --- keep ---

    def save(self, path: str | Path | None = None) -> Path:
        """Write the timesteps that are kept as a film (.mp4, .gif), or as a page (.html).

        Args:
            path: The file; a film named after task and seed unless given.

        Raises:
            ValueError: The suffix is another, or nothing has been played yet.
        """
        path = Path(path or f"{self.task}-{self.seed}{film_suffix()}")
        if path.suffix.lower() == ".html":
            agent = self.agent if self.watch.attends else self.who
            named: Any = dict(agent=agent, task=self.task, seed=self.seed, names=self.watch.names)
            export_html(rollout_of(self.watch), path, **named)
            return path
        return save_film(self.watches, path, self.speed, self.layer, self.head, self.about)

    def save_mine(self, root: str | Path = "data") -> list[Path]:
        """Write the episodes that you have finished as demonstrations; see `save_played`.

        Args:
            root: The folder of the data.

        Returns:
            A file for each task.

        Raises:
            ValueError: There is none.
        """
        from jatlab.data.recording.own import save_played

        require(bool(self.mine), "you have finished no episode: choose(who='you'), and play one")
        paths = []
        for task, played in self.mine.items():
            episodes, outcomes = zip(*played, strict=True)
            paths.append(save_played(task, root, list(episodes), list(outcomes)))
        self.mine = {}
        return paths

    # --- what can be seen ---

    @property
    def picture(self) -> np.ndarray:
        """What the player shows now, uint8 (560, 944, 3); (880, 944, 3) with one beside."""
        layers = self.agent.model.config.num_layers
        if not (self.layer is None or 0 <= self.layer < layers):
            raise ValueError(f"layer {self.layer}: there are layers 0 to {layers - 1}")
        drawn = draw_moment(self.watch.moments, self.place, self.layer, self.head, self.about)
        if self.rival is None:
            return drawn
        moment = self.rival.at(self.watch.moments[self.place].step)
        return np.vstack([drawn, draw_beside(moment, f"{self.beside}, beside")])

    @property
    def over(self) -> bool:
        """Whether all episodes shown are over."""
        return all(watch.done for watch in self.watches)

    @property
    def about(self) -> str:
        """Who plays, in a few words: whether the agent ever saw the task."""
        said = {
            "retrieve": "repeats what was demonstrated",
            "teacher": "the teacher plays",
            "random": "random actions",
            "you": "you play",
        }
        if self.watch.who in said:
            return said[self.watch.who]
        learnt = self.watch.task in self.learnt
        return "learnt by this agent" if learnt else "never shown to this agent"

    @property
    def place(self) -> int:
        """Where in `watch.moments`, which are the last ones only, `index` is; -1 for the last."""
        if self.index < 0:
            return -1
        return int(np.clip(self.index - self.watch.moments[0].step, 0, len(self.watch.moments) - 1))
