"""An episode that somebody watches: one timestep at a time, with everything that a picture of it
tells. The player draws what this keeps.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from jatlab.agents.agent import Agent, in_order
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.tasks import get_task, make_env
from jatlab.teachers import TeacherFailed, get_teacher, has_teacher
from jatlab.teachers.base import RandomTeacher
from jatlab.viz.context import LENGTHS, ContextProbe, share
from jatlab.viz.player.playback import FRAME, action_names, facts_of
from jatlab.viz.video import resize

PLAYERS = ("agent", "teacher", "random")
KEPT = 256  # timesteps whose frames are kept, to look back


@dataclass
class Moment:
    """One timestep: what was seen, and the decision that was taken on it. Without a model, or where
    the episode is over, what is missing is None or empty.
    """

    step: int
    frame: np.ndarray  # (320, w, 3) uint8
    facts: dict  # as `jatlab.viz.player.playback.facts_of` gives them
    # the observation's numbers, in what the model sees: integers, reals, or the newest frame in
    # [-1, 1]
    observed: np.ndarray
    action: object = None
    # (layers, N, tokens remembered), oldest first, the observation itself last
    attention: np.ndarray | None = None
    # what the last action's token had predicted, like `observed`
    expected: np.ndarray | None = None
    context: dict[int, float] = field(
        default_factory=dict
    )  # k -> share of the action taken with only k timesteps remembered


def who_plays(task: str) -> list[str]:
    """Who can play a task: "agent" and "random" always, "teacher" where there is one."""
    return [who for who in PLAYERS if who != "teacher" or has_teacher(task)]


class Watch:
    """One task at a time, played by the agent, its teacher or at random; `moments` are its last
    timesteps.

    The agent is a copy that shares the weights: whoever else plays with the agent given here is not
    disturbed. `context` timesteps are remembered (all that fit, unless given), and `policy` says
    what happens when they are full. Raises `ValueError` for an unknown task, player or policy,
    `ImportError` where an environment is not installed.
    """

    def __init__(
        self,
        agent: Agent,
        task: str,
        seed: int = FIRST_SEED,
        who: str = "agent",
        context: int | None = None,
        policy: str | None = None,
    ):
        get_task(task)
        if who not in who_plays(task):
            raise ValueError(
                f"{who!r} cannot play {task}: it can be played by {', '.join(who_plays(task))}"
            )
        self.agent = Agent(
            agent.model,
            agent.tokenizer,
            agent.info,
            agent.settings.replace(cache_policy=policy or agent.cache_policy),
            context or agent.context,
        )
        self.agent.record_attention = True
        self.task, self.seed, self.who = task, seed, who
        self.temperature, self.probing = agent.temperature, True
        self.moments: deque[Moment] = deque(maxlen=KEPT)
        self.env = make_env(task)
        if self.env.has_wrapper_attr("draw_fast"):
            self.env.get_wrapper_attr("draw_fast")(FRAME)
        self.names = action_names(self.env)
        try:
            self._begin()
        except BaseException:
            self.close()
            raise

    # --- play
    # ----------------------------------------------------------------------------------------------------------------

    def step(self) -> Moment:
        """Do what was decided, and decide anew. Nothing happens when the episode is over or the
        environment closed.
        """
        if not self.open:
            return self.moments[-1]
        self.observation, self.reward, terminated, truncated, info = self.env.step(
            self.moments[-1].action
        )
        self.total, self.length = self.total + self.reward, self.length + 1
        self.done = terminated or truncated
        if self.done:
            self.success = None if info.get("success") is None else bool(info["success"])
            self.ending = (
                "The episode is over"
                + {None: "", True: ", with success", False: ", without success"}[self.success]
            )
        moment = self._look()
        if self.done:
            self.close()
        return moment

    def close(self) -> None:
        """Close the environment; what was seen stays."""
        if self.env is not None:
            self.env.close()
        self.env = None

    @property
    def open(self) -> bool:
        """Whether the episode can go on: it is not over, and the environment is there."""
        return self.env is not None and not self.done

    @property
    def attends(self) -> bool:
        """Whether a model plays, so that there is attention to be seen."""
        return self.who == "agent"

    def _begin(self) -> None:
        self.total, self.length, self.done, self.success, self.reward, self.ending = (
            0.0,
            0,
            False,
            None,
            0.0,
            "",
        )
        self.observation, _ = self.env.reset(seed=self.seed)
        if self.attends:
            self.agent.reset(1, self.env.task)
            fitting = [k for k in LENGTHS if k <= self.agent.model.config.max_timesteps]
            self.probe = ContextProbe(self.agent, fitting)
        else:
            self.teacher = get_teacher(self.task) if self.who == "teacher" else RandomTeacher()
            self.teacher.reset(self.env, self.seed)
        self._look()

    def _look(self) -> Moment:
        """See the observation that came, and decide what to do about it."""
        frame = self.env.render()
        frame = (
            frame
            if frame.shape[0] == FRAME
            else resize(frame, max(1, round(FRAME * frame.shape[1] / frame.shape[0])))
        )
        before = self.moments[-1].action if self.length else None
        moment = Moment(self.length, frame, self._facts(), self._observed())
        self.moments.append(moment)
        if not self.done:
            try:
                (self._decide if self.attends else self._follow)(moment, before)
            except TeacherFailed as error:
                self.done, self.ending = True, f"The teacher gave up: {error}"
                moment.facts = self._facts()
        return moment

    def _decide(self, moment: Moment, before) -> None:
        agent, greedy = self.agent, self.temperature == 0
        moment.action = agent.act(
            [self.observation],
            [self.reward],
            [self.length == 0],
            greedy,
            self.temperature or 1.0,
            [self.seed],
        )[0]
        moment.facts = facts_of(agent, self.observation, moment.action, self, self.names)
        moment.attention = in_order(agent.last, agent.last.attentions).astype(np.float16)
        if self.length and agent.last.pred_observations is not None:
            moment.expected = _seen(agent.last.pred_observations[0], self.env.task.observation)
        self.probe.add(self.observation, self.reward, before)
        if self.probing:
            answers = self.probe.ask(self.temperature or 1.0)
            moment.context = {
                k: share(answer, moment.action)
                for k, answer in answers.items()
                if k <= moment.step + 1
            }

    def _follow(self, moment: Moment, before) -> None:
        moment.action = self.teacher.act(self.observation)
        moment.facts = facts_of(None, self.observation, moment.action, self, self.names)

    def _facts(self) -> dict:
        """Facts of a timestep on which nothing was decided."""
        mission = self.observation.get("text_observation", "")
        return {
            "task": self.task,
            "step": self.length,
            "total": self.total,
            "mission": mission,
            "bars": [],
            "signed": False,
            "ending": self.ending,
        }

    def _observed(self) -> np.ndarray:
        kind = self.env.task.observation
        values = np.asarray(self.observation[f"{kind}_observation"])
        return _seen(values / 127.5 - 1 if kind == "image" else values, kind)


def _seen(values: np.ndarray, kind: str) -> np.ndarray:
    """Of four stacked frames the newest, (84, 84); vectors and grid integers as they are."""
    return np.asarray(values[-1] if kind == "image" else values)
