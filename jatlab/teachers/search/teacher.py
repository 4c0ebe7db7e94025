"""Atari's teacher: it plays any game without having learnt it, by looking ahead in an emulator.

It keeps one plan, a sequence of actions with the states that they lead to, and spends each
decision's budget on changing it: another action for a while, or another ending, from any step of
the plan on. A change that is better stays. The first action is played, and the rest is the next
decision's plan; the game is deterministic, so what was found is not lost. Three things save
simulated steps:

- The states along the plan are kept. So a change near its end costs few steps, and a change whose
  state falls back into the plan's costs only the difference.
- A change that is behind the plan after a while is not simulated to its end.
- Where the plan loses a life or points, changes shortly before that are tried first.

A plan is better than another by the first of these rules that tells them apart:

1. The higher discounted reward. A lost life costs ``life_cost`` times the largest reward seen in
   this episode, and ends the plan.
2. Rarer values in the console's memory, if no reward has been in sight for ``patience`` decisions.
3. Fewer changes of action, counted from the action played last. This rule makes demonstrations that
   can be imitated: where nothing depends on it, the teacher does what it did before.

The nearest relative is rolling-horizon evolution with a population of one (Perez et al. 2013); the
novelty is that of iterated width (Lipovetzky, Ramirez and Geffner 2015).

Unlike a human player it knows the console's memory, and with it the game's pseudo-random numbers.
``jatlab.teachers.search.emulator`` says what it does not know.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from jatlab.tasks.task import Action, Observation
from jatlab.teachers.base import Teacher
from jatlab.teachers.search.plan import ActionPlan
from jatlab.teachers.search.settings import (
    FRAMES_PER_DECISION,
    FRAMES_PER_EPISODE,
    STANDARD,
    SearchSettings,
)

if TYPE_CHECKING:
    import gymnasium as gym

    from jatlab.teachers.search.emulator import Emulator

SURVIVAL = 10  # steps beyond a plan's early end that count as an escape
ESCAPES = 14  # tries to escape from a loss: two each 1, 2, 4 … 64 steps before it
GRACE = 12  # steps that a change is given before it may be behind the plan
TIE = 1e-9  # relative; what differs by less is the same value
# decisions without any reward in sight, from an episode's beginning, before a warning
DECISIONS_BEFORE_WARNING = 500


class NoRewardInSight(UserWarning):
    """The search has found no reward within its horizon since the episode began."""


class SearchTeacher(Teacher):
    """Plays by look-ahead search. The same seed makes the same decisions in the same game.

    Attributes:
        plan: The best plan found, from the next decision on.
        simulated: Steps simulated in the last decision.
        rewardless: Decisions of this episode in which no simulated future held a reward.
    """

    max_decisions = FRAMES_PER_EPISODE // FRAMES_PER_DECISION
    slowness = 100

    emulator: Emulator

    def __init__(self, settings: SearchSettings = STANDARD):
        self.settings = settings
        self._discounts = settings.discount ** np.arange(settings.horizon)

    def reset(self, env: gym.Env, seed: int | None = None) -> None:
        """Begin an episode of an Atari task.

        Raises ValueError for any other environment, and TeacherFailed if its state cannot be
        restored.
        """
        from jatlab.teachers.search.emulator import Emulator

        if not hasattr(self, "emulator") or not self.emulator.watches(env):
            self.emulator = Emulator(env)
        self.emulator.check()
        self._rng = np.random.default_rng(None if seed is None else [seed, 57])
        self.plan, self.previous, self.decision = ActionPlan([self.emulator.observe()]), 0, -1
        self.simulated = self.rewardless = self._spent = 0
        self._largest, self._dull = 0.0, 0  # reward; decisions since a reward was in sight
        self._refused: set[tuple[int, int, int]] = set()  # see _smooth
        self._visits = np.zeros((128, 256))  # of the values of the console's memory

    def act(self, observation: Observation, executed: Action | None = None) -> int:
        """The first action of the best plan found.

        ``observation`` is for the agent; the search does not look at it.
        """
        if executed is not None:
            self.previous = int(executed)
        self.decision += 1
        self.simulated, self._escapes, self._seen_reward = 0, 0, any(self.plan.rewards)
        self._follow_game()
        self._extend()
        self._smooth()
        while self._improve():
            pass
        self._dull = 0 if self._seen_reward else self._dull + 1
        self.rewardless += not self._seen_reward
        if self.rewardless == self.decision + 1 == DECISIONS_BEFORE_WARNING:
            self._warn_of_no_reward()
        self._spent += self.simulated
        return self._play_first()

    def facts(self) -> dict[str, float]:
        """What is stored with the return of the episode just played.

        ``budget`` and ``simulated`` are steps a decision, the most and the mean; ``frames_limit``
        is that of an episode; ``blind`` is the share of decisions without a reward in sight.
        """
        decisions = max(self.decision + 1, 1)
        return {
            "budget": self.settings.alarm,
            "simulated": round(self._spent / decisions, 2),
            "frames_limit": FRAMES_PER_EPISODE,
            "blind": round(self.rewardless / decisions, 4),
        }

    def _warn_of_no_reward(self) -> None:
        warnings.warn(
            f"{self.emulator.game}: no reward within {self.settings.horizon} decisions in any "
            f"future simulated in the first {DECISIONS_BEFORE_WARNING} decisions; the search goes "
            "where the console's memory is new. A longer horizon or a larger budget "
            "(SearchSettings) may see one; demonstrations without rewards teach little",
            NoRewardInSight,
            stacklevel=3,
        )

    # --- one decision ---

    def _follow_game(self) -> None:
        """Begin where the judged game is.

        If that is not where the plan expected to be, the plan's actions are simulated again.
        """
        state = self.emulator.observe()
        if not state.equals(self.plan.states[0]):
            self.plan = self._simulate(ActionPlan([state]), self.plan.actions[: self._left])

    def _extend(self) -> None:
        """Hold the plan's last action up to the horizon."""
        missing = min(self.settings.horizon - len(self.plan), self._left)
        if missing > 0 and not self.plan.over:
            last = self.plan.actions[-1] if self.plan.actions else self.previous
            self.plan = self._simulate(self.plan, [last] * missing)

    def _smooth(self) -> None:
        """Try to remove changes of action, the next one first, by holding the action before it.

        Each is tried once.
        """
        allowed = self.settings.smoothing * self.settings.budget
        at = 0
        while at < len(self.plan) and self.simulated < allowed:
            before = self.plan.actions[at - 1] if at else self.previous
            action, end = self.plan.actions[at], self.plan.end_of_run(at)
            key = (self.decision + at, before, action)
            if action == before or key in self._refused:
                at = end
                continue
            if len(self.plan) - at > self._left:
                return
            if not self._consider(at, [before] * (end - at) + self.plan.actions[end:], end):
                self._refused.add(key)
                at = end

    def _improve(self) -> bool:
        """Try one change of the plan. False when the budget is spent."""
        length, horizon = len(self.plan), self.settings.horizon
        if self._left <= 0 or length == 0:
            return False
        # steps; a plan that ends early is to be compared with one that goes on
        enough = min(horizon, length + SURVIVAL)
        at = max(self._branch(length), enough - self._left)
        if at >= length:
            return False
        room = min(horizon - at, self._left)
        tail = self._stretch(room)
        if self._rng.random() < 0.5:  # another action for a while, then the plan's
            same_from = at + len(tail)
            rest = self.plan.actions[same_from:]
            tail = tail + rest + [(rest or tail)[-1]] * (room - len(tail) - len(rest))
        else:  # another ending
            same_from = length
            while len(tail) < room:
                tail += self._stretch(room - len(tail))
        self._consider(at, tail, same_from)
        return True

    def _branch(self, length: int) -> int:
        """The step to change from: rather early.

        If the plan has a loss, first shortly before it, then ever earlier: most escapes need no new
        plan.
        """
        loss = self.plan.loss()
        if loss is not None and self._escapes < ESCAPES:
            self._escapes += 1
            return max(0, loss + 1 - 2 ** ((self._escapes - 1) // 2))
        return int(length * self._rng.random() ** 2)

    def _stretch(self, room: int) -> list[int]:
        """One action, held for 1 to ``room`` steps; the logarithm of the duration is uniform."""
        action = int(self._rng.integers(len(self.emulator.actions)))
        return [action] * int(np.exp(self._rng.random() * np.log(room + 0.999)))

    def _consider(self, at: int, tail: list[int], same_from: int) -> bool:
        """Take the plan with ``tail`` from step ``at`` on if it is better than the present plan.

        From step ``same_from`` on, both do the same.
        """
        candidate = self._simulate_change(at, tail, same_from)
        if better := candidate is not None and self._merit(candidate) > self._merit(self.plan):
            self.plan = candidate
        return better

    def _play_first(self) -> int:
        action = self.plan.actions[0] if self.plan.actions else self.previous
        if self.plan.memories:
            self._visits[np.arange(128), self.plan.memories[0]] += 1
        more = len(self.plan) > 1
        self.plan = self.plan.rest() if more else ActionPlan(self.plan.states[-1:])
        self.previous = action
        return action

    # --- simulation and value ---

    @property
    def _left(self) -> int:
        """Steps that this decision may still simulate."""
        allowed = self.settings.budget if self.plan.loss() is None else self.settings.alarm
        return allowed - self.simulated

    def _simulate(self, plan: ActionPlan, actions: list[int]) -> ActionPlan:
        """``plan``, and ``actions`` after it, until nothing can follow."""
        plan = plan.head(len(plan))
        self.emulator.restore(plan.states[-1])
        for action in actions:
            self._append(plan, action)
            if plan.over:
                break
        return plan

    def _simulate_change(self, at: int, tail: list[int], same_from: int) -> ActionPlan | None:
        """The present plan with the actions ``tail`` from step ``at`` on.

        From step ``same_from`` on, both plans have the same actions: where they reach the same
        state, the rest of the present plan is taken over. None if the present plan is ahead after
        ``GRACE`` steps.
        """
        known, plan = self.plan, self.plan.head(at)
        ahead = None if known.lost else self._values(known)
        value = float(self._values(plan)[-1]) if plan.rewards else 0.0
        self.emulator.restore(plan.states[-1])
        for number, action in enumerate(tail, at + 1):
            self._append(plan, action)
            if plan.over:
                break
            value += plan.rewards[-1] * self._discounts[number - 1]
            if (
                ahead is not None
                and number - at >= GRACE
                and value < ahead[min(number, len(known)) - 1] - TIE * self._largest
            ):
                return None
            if same_from <= number < len(known) and plan.states[-1].equals(known.states[number]):
                return plan.followed_by(known.rest(number))
        return plan

    def _values(self, plan: ActionPlan) -> np.ndarray:
        """The discounted reward up to each step of a plan: (T,)."""
        return np.cumsum(plan.rewards * self._discounts[: len(plan)])

    def _append(self, plan: ActionPlan, action: int) -> None:
        """Simulate one more step of a plan, from where the emulator is."""
        reward, lost, over = self.emulator.step(action)
        self.simulated += 1
        plan.actions.append(action)
        plan.rewards.append(reward)
        plan.states.append(self.emulator.clone())
        plan.memories.append(self.emulator.memory())
        plan.lost, plan.over = lost, lost or over
        if reward:
            self._seen_reward, self._largest = True, max(self._largest, abs(reward))

    def _merit(self, plan: ActionPlan) -> tuple[float, float, int]:
        """What plans are compared by, see the top of this module."""
        scale = self._largest or 1.0
        value = float(np.dot(plan.rewards, self._discounts[: len(plan)])) / scale
        if plan.lost:
            value -= self.settings.life_cost * self._discounts[len(plan) - 1]
        return round(value / TIE) * TIE, self._novelty(plan), -plan.changes(self.previous)

    def _novelty(self, plan: ActionPlan) -> float:
        """How rare the values are that the console's memory takes along the plan.

        The sum, over (address, value), of 1 / (1 + visits)².
        """
        if self._dull < self.settings.patience or not plan.memories:
            return 0.0
        pairs = np.unique(np.stack(plan.memories) + 256 * np.arange(128))
        return round(float((1 / (1 + self._visits.reshape(-1)[pairs]) ** 2).sum()), 6)
