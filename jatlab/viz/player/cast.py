"""Who can play: the agent given, every other agent that is there, the teacher, chance, and you."""

from __future__ import annotations

from pathlib import Path

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent, shipped_agents
from jatlab.viz.player.watching import PLAYERS, who_plays

Choices = list[tuple[str, str]]  # what a menu shows, and the value that it stands for


class Cast:
    """The players to choose from; an agent is loaded when it is first chosen.

    Args:
        given: The agent that the player was made with.
        runs: The folder in whose folders your own agents are.
    """

    def __init__(self, given: Agent, runs: str | Path = "runs") -> None:
        self.given, self.runs = given, Path(runs)
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
        return [*who_plays(task), *self.others]

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
