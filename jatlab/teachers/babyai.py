"""The BabyAI bot: it keeps a stack of subgoals and plans shortest paths.

It knows what the agent has seen so far.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher, TeacherFailed

if TYPE_CHECKING:
    import gymnasium as gym

MAX_SUBGOALS = 200  # within one step; an honest plan needs a dozen
# what the bot raises when its plan does not fit the world any more
PLAN_ERRORS = (AssertionError, DisappearedBoxError, AttributeError, IndexError, TypeError)

AcceptCell = Callable[[Any, Any], bool]  # told a position and the object there


class _Subgoals(list):
    """The bot's stack of subgoals, which refuses to grow for ever.

    On some levels (seen in go-to-imp-unlock, unlock, unlock-to-unlock, mini-boss-level) the bot
    keeps pushing the same subgoals within one call. Counting the pushes ends that at the same point
    on every machine, which a clock would not.
    """

    pushes = 0

    def append(self, subgoal: object) -> None:
        self.pushes += 1
        if self.pushes > MAX_SUBGOALS:
            raise TeacherFailed("the bot is going round in circles")
        super().append(subgoal)


class _Bot(BabyAIBot):
    """MiniGrid's bot, which looks for a key elsewhere than behind the door that needs it.

    With nothing else left to explore, the original opens the nearest locked door. If it is looking
    for the key of that very door, it needs the key, so it explores, so it opens the door, and so
    on. This is by far the most frequent of its endless loops.
    """

    def __init__(self, env: gym.Env):
        super().__init__(env)
        self.stack = _Subgoals(self.stack)

    def _shortest_path(self, accept_fn: AcceptCell, try_with_blockers: bool = False) -> Any:
        if accept_fn.__name__ == "unopened_door":  # the last resort of exploring
            waiting = [subgoal.datum for subgoal in self.stack if subgoal.reason == "Open"]

            def another_door(pos: Any, cell: Any) -> bool:
                return accept_fn(pos, cell) and not any(cell is door for door in waiting)

            found = super()._shortest_path(another_door, try_with_blockers)
            if found[0]:
                return found
        return super()._shortest_path(accept_fn, try_with_blockers)


class BotTeacher(Teacher):
    """MiniGrid's ``BabyAIBot``, without one of its endless loops.

    It looks inside the environment for the positions of what has been in view.
    """

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode of a BabyAI task."""
        self._bot = _Bot(env)

    def act(self, observation: Observation, executed: Action | None = None) -> int:
        """The bot's next action. Raises TeacherFailed if it has no plan."""
        self._bot.stack.pushes = 0
        try:
            return int(self._bot.replan(executed))
        except PLAN_ERRORS as error:
            reason = f"{type(error).__name__} {error}".strip()
            raise TeacherFailed(f"the bot gave up: {reason}") from error
