"""The BabyAI bot: it sees what the agent has seen so far, keeps a stack of subgoals, and plans
shortest paths.
"""

from __future__ import annotations

from minigrid.utils.baby_ai_bot import BabyAIBot, DisappearedBoxError

from jatlab.teachers.base import Teacher, TeacherFailed

MAX_SUBGOALS = 200  # within one step; an honest plan needs a dozen


class _Plan(list):
    """The bot's stack of subgoals, which refuses to grow for ever.

    On some levels (seen in go-to-imp-unlock, unlock, unlock-to-unlock, mini-boss-level) the bot
    keeps pushing the same subgoals within one call. Counting the pushes ends that at the same point
    on every machine, which a clock would not.
    """

    pushes = 0

    def append(self, subgoal) -> None:
        self.pushes += 1
        if self.pushes > MAX_SUBGOALS:
            raise TeacherFailed("the bot is going round in circles")
        super().append(subgoal)


class _Bot(BabyAIBot):
    """MiniGrid's bot, which looks for a key elsewhere than behind the door that needs it.

    With nothing else left to explore the original opens the nearest locked door. If that is the
    door whose key it is looking for, it needs the key, so it explores, so it opens that door …: by
    far the most frequent of its endless loops.
    """

    def __init__(self, env):
        super().__init__(env)
        self.stack = _Plan(self.stack)

    def _shortest_path(self, accept_fn, try_with_blockers=False):
        if accept_fn.__name__ == "unopened_door":  # the last resort of exploring
            waiting = [subgoal.datum for subgoal in self.stack if subgoal.reason == "Open"]

            def another_door(pos, cell):
                return accept_fn(pos, cell) and not any(cell is door for door in waiting)

            found = super()._shortest_path(another_door, try_with_blockers)
            if found[0]:
                return found
        return super()._shortest_path(accept_fn, try_with_blockers)


class BotTeacher(Teacher):
    """MiniGrid's ``BabyAIBot``, less one of its endless loops. It looks inside the environment for
    the positions of what has been in view.
    """

    def reset(self, env, seed: int | None = None) -> None:
        self._bot = _Bot(env)

    def act(self, observation: dict, executed=None) -> int:
        self._bot.stack.pushes = 0
        try:
            return int(self._bot.replan(executed))
        except (
            AssertionError,
            DisappearedBoxError,
            AttributeError,
            IndexError,
            TypeError,
        ) as error:  # its plan does not fit the world any more
            raise TeacherFailed(
                f"the bot gave up: {type(error).__name__} {error}".strip()
            ) from error
