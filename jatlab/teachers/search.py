"""Atari's teacher: it plays any game without having learnt it, by looking ahead in an emulator of
its own (``jatlab.teachers.emulator``).

It keeps one plan, a sequence of actions with the states that they lead to, and spends each
decision's budget on changing it: another action for a while, or another ending, from any step of
the plan on. Since the states along the plan are kept, a change near its end costs a few simulated
steps, and one whose state falls back into the plan's costs no more than the difference. What is
better stays; the first action is played, and the rest is the next decision's plan. The game is
deterministic, so what was found is not lost. A change that lies behind the plan after a while is
not simulated to its end; and where the plan loses a life or points, changes shortly before that are
tried first.

Better is, in this order: the higher discounted reward, where a lost life costs ``life_cost`` times
the largest reward seen in this episode and ends the plan; if no reward has been in sight for
``patience`` decisions, rarer values in the console's memory; fewer changes of action, counted from
the action played last. The last rule makes demonstrations that can be imitated: where nothing
depends on it, the teacher does what it did before. Rolling-horizon evolution with a population of
one (Perez et al. 2013) is the nearest relative; the novelty is that of iterated width (Lipovetzky,
Ramirez and Geffner 2015).

What it knows beyond a human player: the console's memory, and with it the game's own pseudo-random
numbers. What it does not know is said in ``jatlab.teachers.emulator``.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace

import numpy as np

from jatlab.teachers.base import Teacher

FRAMES_PER_EPISODE = 18_000  # five minutes of play; published scores are of up to 108,000 frames
FRAMES_PER_DECISION = 4
SURVIVAL = 10  # steps beyond a plan's early end that count as an escape
ESCAPES = 14  # tries to escape from a loss: two each 1, 2, 4 … 64 steps before it
GRACE = 12  # steps that a change is given before it may be behind the plan
BLIND = 500  # decisions without any reward in sight, from an episode's beginning, until it is said
TIE = 1e-9  # relative; what differs by less is the same value


class NoRewardInSight(UserWarning):
    """The search has found no reward within its horizon since the episode began."""


@dataclass(frozen=True)
class SearchSettings:
    """``budget``: simulated decisions (four frames each) a decision, and ``alarm`` if the plan
    loses a life or points, at most 500. ``horizon``: decisions that a plan looks ahead.
    """

    budget: int = 64
    alarm: int = 240
    horizon: int = 50
    discount: float = 0.99
    life_cost: float = 10.0  # times the largest reward seen
    patience: int = 60  # decisions without a reward in sight, until novelty counts
    smoothing: float = 0.25  # share of the budget for removing needless changes of action

    def __post_init__(self):
        if not 1 <= self.budget <= self.alarm <= 500:
            raise ValueError(
                f"budget and alarm are from 1 to 500 simulated steps a decision, alarm not below budget; got {self.budget} and {self.alarm}"
            )
        if self.horizon < 1:
            raise ValueError(f"horizon is at least 1 step, got {self.horizon}")
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount is above 0 and at most 1, got {self.discount}")


@dataclass
class ActionPlan:
    """``actions``, ``rewards`` and ``memories`` (uint8 (128,), after the step) of T steps;
    ``states``: T + 1, the first is where the plan begins.
    """

    states: list
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    memories: list[np.ndarray] = field(default_factory=list)
    lost: bool = False  # the last step loses a life
    over: bool = False  # nothing can follow: a life was lost, or the game is over

    def __len__(self) -> int:
        return len(self.actions)

    def head(self, steps: int) -> ActionPlan:
        """The first ``steps`` steps; they go on if anything of the plan was cut off."""
        cut = steps < len(self)
        return ActionPlan(
            self.states[: steps + 1],
            self.actions[:steps],
            self.rewards[:steps],
            self.memories[:steps],
            self.lost and not cut,
            self.over and not cut,
        )

    def rest(self, steps: int = 1) -> ActionPlan:
        """What is left after the first ``steps`` steps."""
        return ActionPlan(
            self.states[steps:],
            self.actions[steps:],
            self.rewards[steps:],
            self.memories[steps:],
            self.lost,
            self.over,
        )

    def followed_by(self, rest: ActionPlan) -> ActionPlan:
        """This plan and another that begins where it ends."""
        return ActionPlan(
            self.states + rest.states[1:],
            self.actions + rest.actions,
            self.rewards + rest.rewards,
            self.memories + rest.memories,
            rest.lost,
            rest.over,
        )

    def loss(self) -> int | None:
        """The first step that loses points or a life; None if there is none."""
        points = next((t for t, reward in enumerate(self.rewards) if reward < 0), None)
        return len(self) - 1 if points is None and self.lost else points

    def changes(self, previous: int) -> int:
        """How often the action changes, from ``previous`` on."""
        return sum(a != b for a, b in zip([previous, *self.actions], self.actions))


class SearchTeacher(Teacher):
    """Plays by look-ahead search. The same seed makes the same decisions in the same game.

    ``simulated``: steps simulated in the last decision; ``blind``: decisions of this episode in
    which no simulated future held a reward.
    """

    max_decisions = FRAMES_PER_EPISODE // FRAMES_PER_DECISION
    slowness = 100

    def __init__(self, settings: SearchSettings = SearchSettings()):
        self.settings, self.emulator = settings, None
        self._discounts = settings.discount ** np.arange(settings.horizon)

    def reset(self, env, seed: int | None = None) -> None:
        """Begin an episode of an Atari task. Raises ValueError for any other environment,
        TeacherFailed if its state cannot be restored.
        """
        from jatlab.teachers.emulator import Emulator

        if self.emulator is None or not self.emulator.watches(env):
            self.emulator = Emulator(env)
        self.emulator.check()
        self._rng = np.random.default_rng(None if seed is None else [seed, 57])
        self.plan, self.previous, self.decision = ActionPlan([self.emulator.observe()]), 0, -1
        self.simulated = self.blind = self._spent = 0
        self._largest, self._dull, self._refused = 0.0, 0, set()
        self._visits = np.zeros((128, 256))

    def act(self, observation: dict, executed=None) -> int:
        """The first action of the best plan found; ``observation`` is for the agent, the search
        does not look at it.
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
        self.blind += not self._seen_reward
        if self.blind == self.decision + 1 == BLIND:
            self._say_blind()
        self._spent += self.simulated
        return self._play_first()

    def facts(self) -> dict:
        """``budget`` and ``simulated``: steps a decision, the most and on average; ``frames_limit``
        of an episode; ``blind``: the share of this episode's decisions without a reward in sight.
        """
        decisions = max(self.decision + 1, 1)
        return {
            "budget": self.settings.alarm,
            "simulated": round(self._spent / decisions, 2),
            "frames_limit": FRAMES_PER_EPISODE,
            "blind": round(self.blind / decisions, 4),
        }

    def _say_blind(self) -> None:
        game = getattr(self.emulator, "game", "this game")
        warnings.warn(
            f"{game}: no reward within {self.settings.horizon} decisions in any future simulated in the first {BLIND} decisions; the search goes where the "
            "console's memory is new. A longer horizon or a larger budget (SearchSettings) may see one; demonstrations without rewards teach little",
            NoRewardInSight,
            stacklevel=3,
        )

    # --- one decision
    # ------------------------------------------------------------------------------------------------------------

    def _follow_game(self) -> None:
        """Begin where the judged game is. If that is not where the plan expected to be, its actions
        are simulated again.
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
        """Try to do without changes of action, the next one first: hold the action before it
        instead. Each is tried once.
        """
        allowed = self.settings.smoothing * self.settings.budget
        at = 0
        while at < len(self.plan) and self.simulated < allowed:
            before = self.plan.actions[at - 1] if at else self.previous
            action, end = self.plan.actions[at], self._end_of_run(at)
            key = (self.decision + at, before, action)
            if action == before or key in self._refused:
                at = end
                continue
            if len(self.plan) - at > self._left:
                return
            if not self._consider(at, [before] * (end - at) + self.plan.actions[end:], end):
                self._refused.add(key)
                at = end

    def _end_of_run(self, start: int) -> int:
        actions = self.plan.actions
        return next(
            (t for t in range(start, len(actions)) if actions[t] != actions[start]), len(actions)
        )

    def _improve(self) -> bool:
        """Try one change of the plan. False when the budget is spent."""
        length = len(self.plan)
        if self._left <= 0 or length == 0:
            return False
        enough = min(
            self.settings.horizon, length + SURVIVAL
        )  # steps; a plan that ends early is to be compared with one that goes on
        at = max(self._branch(length), enough - self._left)
        if at >= length:
            return False
        room, rest = min(self.settings.horizon - at, self._left), []
        tail = self._stretch(room)
        if self._rng.random() < 0.5:
            rest = self.plan.actions[at + len(tail) :]
            same_from = at + len(tail)
            tail = tail + rest + [(rest or tail)[-1]] * (room - len(tail) - len(rest))
        else:
            same_from = length
            while len(tail) < room:
                tail += self._stretch(room - len(tail))
        self._consider(at, tail, same_from)
        return True

    def _branch(self, length: int) -> int:
        """The step to change from: rather early. If the plan has a loss, first shortly before it,
        then ever earlier: most escapes need no new plan.
        """
        loss = self.plan.loss()
        if loss is not None and self._escapes < ESCAPES:
            self._escapes += 1
            return max(0, loss + 1 - 2 ** ((self._escapes - 1) // 2))
        return int(length * self._rng.random() ** 2)

    def _stretch(self, room: int) -> list[int]:
        """One action, held for 1 to ``room`` steps; the logarithm of the duration is uniform."""
        return [int(self._rng.integers(len(self.emulator.actions)))] * int(
            np.exp(self._rng.random() * np.log(room + 0.999))
        )

    def _consider(self, at: int, tail: list[int], same_from: int) -> bool:
        """Simulate the plan with ``tail`` from step ``at`` on, and take it if it is better; from
        step ``same_from`` on both do the same.
        """
        candidate = self._simulate(self.plan.head(at), tail, same_from, race=True)
        if better := candidate is not None and self._merit(candidate) > self._merit(self.plan):
            self.plan = candidate
        return better

    def _play_first(self) -> int:
        action = self.plan.actions[0] if self.plan.actions else self.previous
        if self.plan.memories:
            self._visits[np.arange(128), self.plan.memories[0]] += 1
        if len(self.plan) > 1:
            self.plan = self.plan.rest()
        else:
            self.plan = ActionPlan(self.plan.states[-1:])
        self.previous = action
        return action

    # --- simulation and value
    # ----------------------------------------------------------------------------------------------------

    @property
    def _left(self) -> int:
        return (
            self.settings.budget if self.plan.loss() is None else self.settings.alarm
        ) - self.simulated

    def _simulate(
        self, plan: ActionPlan, actions: list[int], same_from: int | None = None, race: bool = False
    ) -> ActionPlan | None:
        """``plan``, and ``actions`` after it. Where the present plan is met again, with the same
        actions to follow, the rest of it is taken over. None if it is a ``race`` and the present
        plan is ahead.
        """
        begun, known = len(plan), self.plan
        ahead = self._values(known) if race and not known.lost else None
        plan = replace(
            plan,
            states=plan.states[:],
            actions=plan.actions[:],
            rewards=plan.rewards[:],
            memories=plan.memories[:],
        )
        value = float(self._values(plan)[-1]) if plan.rewards else 0.0
        self.emulator.restore(plan.states[-1])
        for number, action in enumerate(actions, begun + 1):
            self._append(plan, action)
            if plan.over:
                break
            value += plan.rewards[-1] * self._discounts[number - 1]
            if (
                ahead is not None
                and number - begun >= GRACE
                and value < ahead[min(number, len(known)) - 1] - TIE * self._largest
            ):
                return None
            if (
                same_from is not None
                and same_from <= number < len(known)
                and plan.states[-1].equals(known.states[number])
            ):
                return plan.followed_by(known.rest(number))
        return plan

    def _values(self, plan: ActionPlan) -> np.ndarray:
        """The discounted reward up to each step of a plan: (T,)."""
        return np.cumsum(plan.rewards * self._discounts[: len(plan)])

    def _append(self, plan: ActionPlan, action: int) -> None:
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
        """How rare the values are that the console's memory takes along the plan: the sum, over
        (address, value), of 1 / (1 + visits)².
        """
        if self._dull < self.settings.patience or not plan.memories:
            return 0.0
        pairs = np.unique(np.stack(plan.memories) + 256 * np.arange(128))
        return round(float((1 / (1 + self._visits.reshape(-1)[pairs]) ** 2).sum()), 6)


def describe_search(settings: SearchSettings = SearchSettings()) -> str:
    """The teacher in words that change when its settings do."""
    return (
        f"look-ahead search, {settings.budget} simulated steps a decision ({settings.alarm} if a life or points are at stake), horizon {settings.horizon}, discount {settings.discount:g}, "
        f"a life {settings.life_cost:g}, at most {FRAMES_PER_EPISODE:,} frames an episode (version 1)"
    )
