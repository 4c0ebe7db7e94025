"""The BabyAI bot: it sees what the agent has seen so far, keeps a stack of subgoals, and plans shortest paths."""

from __future__ import annotations

from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from jatlab.teachers.base import Teacher, TeacherFailed

MAX_SUBGOALS = 1000  # within one step; an honest plan needs a handful


class _Plan(list):
    """The bot's stack of subgoals, which refuses to grow for ever.

    On some levels (seen in go-to-imp-unlock, unlock, unlock-to-unlock, mini-boss-level) the bot keeps pushing and popping the same
    two subgoals within one call. Counting the pushes ends that at the same point on every machine, which a clock would not.
    """

    pushes = 0

    def append(self, subgoal) -> None:
        self.pushes += 1
        if self.pushes > MAX_SUBGOALS:
            raise TeacherFailed("the bot is going round in circles")
        super().append(subgoal)


class BotTeacher(Teacher):
    """MiniGrid's ``BabyAIBot``. It looks inside the environment for the positions of what has been in view."""

    def reset(self, env, seed: int | None = None) -> None:
        self._bot = BabyAIBot(env)
        self._bot.stack = _Plan(self._bot.stack)

    def act(self, observation: dict, executed=None) -> int:
        self._bot.stack.pushes = 0
        try:
            return int(self._bot.replan(executed))
        except (AssertionError, DisappearedBoxError, AttributeError, IndexError, TypeError) as error:  # its plan does not fit the world any more
            raise TeacherFailed(f"the bot gave up: {type(error).__name__} {error}".strip()) from error
