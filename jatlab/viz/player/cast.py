"""Who can play: agents, retrieve and play, the teacher, chance, and you."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import TYPE_CHECKING

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent, shipped_agents
from jatlab.tasks.task import Action, Observation
from jatlab.teachers import has_teacher
from jatlab.teachers.base import Teacher

if TYPE_CHECKING:
    import gymnasium as gym

    from jatlab.agents.retrieval.retrieve import RetrieveAndPlay

PLAYERS = ("agent", "retrieve", "teacher", "random", "you")
Choices = list[tuple[str, str]]  # what a menu shows, and the value that it stands for


def who_plays(task: str, retriever: RetrieveAndPlay | None = None) -> list[str]:
    """Who can play a task: "agent", "random" and "you" always.

    "teacher" can where there is one, and "retrieve" where the demonstrations are of this task.
    """
    there = {
        "retrieve": retriever is not None and retriever.task.name == task,
        "teacher": has_teacher(task),
    }
    return [who for who in PLAYERS if there.get(who, True)]


class Repeater(Teacher):
    """Retrieve and play as a teacher: it does what the nearest demonstrated timestep did.

    Args:
        retriever: With the demonstrations. It is copied, so that two can play from them at once.
    """

    def __init__(self, retriever: RetrieveAndPlay) -> None:
        self.agent = copy.copy(retriever)
        self.agent.retriever = copy.copy(retriever.retriever)

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode."""
        self.agent.reset(1)

    def act(self, observation: Observation, executed: Action | None = None) -> Action:
        """The action of the nearest demonstrated timestep."""
        return self.agent.act(observation)

    @property
    def note(self) -> str:
        """What was retrieved last: where it is from, and how far away it was."""
        near, index = self.agent.neighbours, self.agent.index
        assert near is not None  # it has acted
        episode, timestep = index.place(int(near.rows[0, 0]))
        units = float(near.distances[0, 0]) / index.scale
        return f"demonstration {episode}, timestep {timestep}\n{units:.2f} units away"


class Cast:
    """The players to choose from; an agent is loaded when it is first chosen.

    Args:
        given: The agent that the player was made with.
        runs: The folder in whose folders your own agents are.
        retriever: Who "retrieve" is, for the task of its demonstrations.
    """

    def __init__(
        self,
        given: Agent,
        runs: str | Path = "runs",
        retriever: RetrieveAndPlay | None = None,
    ) -> None:
        self.given, self.runs, self.retriever = given, Path(runs), retriever
        self._loaded: dict[str, Agent] = {}

    @property
    def others(self) -> list[str]:
        """The other agents: those that ship, and the folders that `jatlab train` wrote."""
        name = self.given.info.get("name")
        shipped = [agent for agent in shipped_agents() if agent != name]
        files = [*self.runs.glob("*/agent.json"), *self.runs.glob("*/*/agent.json")]
        found = [file.parent for file in files if (file.parent / "model.safetensors").is_file()]
        return shipped + sorted(str(folder) for folder in found)

    def names(self, task: str) -> list[str]:
        """Everybody who can play a task: `who_plays`, and the names of the other agents."""
        return [*who_plays(task, self.retriever), *self.others]

    def menu(self, task: str) -> Choices:
        """The same, with the name of the agent given in place of "agent"."""
        given = str(self.given.info.get("name", "agent"))
        return [(given if who == "agent" else who, who) for who in self.names(task)]

    def agent(self, who: str) -> Agent:
        """The agent of this name; the one given for "agent", and where no agent plays.

        Raises:
            FileNotFoundError: There is no such agent.
        """
        if who in PLAYERS:
            return self.given
        if who not in self._loaded:
            self._loaded[who] = load_agent(who)
        return self._loaded[who]
