"""An episode that somebody watches: one timestep at a time.

It keeps everything that a picture of a timestep tells; the player draws what this keeps.
"""

from __future__ import annotations

import base64
import io
import textwrap
from collections import deque
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from jatlab.agents.agent import Agent
from jatlab.agents.attention_record import in_order
from jatlab.data.recording.playing import observed
from jatlab.evaluation.playing import FIRST_SEED
from jatlab.tasks import get_task, make_env
from jatlab.tasks.env import TaskEnv
from jatlab.tasks.frames import draw
from jatlab.tasks.task import Action
from jatlab.teachers import TeacherFailed, get_teacher
from jatlab.teachers.base import RandomTeacher, Teacher
from jatlab.teachers.human.keys import Pad
from jatlab.teachers.human.names import action_names, observations_of
from jatlab.utils.checks import require
from jatlab.viz.context import LENGTHS, ContextProbe, share
from jatlab.viz.player.cast import Repeater, who_plays
from jatlab.viz.player.panel import FRAME, Facts, facts_of
from jatlab.viz.video import GROUND, MUTED, font, pillow, resize

if TYPE_CHECKING:
    from jatlab.agents.retrieval.retrieve import RetrieveAndPlay

THUMB = 88  # pixels: height of a frame in the strip
KEPT = 256  # timesteps whose frames are kept, to look back


@dataclass
class Moment:
    """One timestep: what was seen, and the decision that was taken on it.

    Attributes:
        step: The timestep, from 0.
        frame: (320, w, 3) uint8.
        facts: What the panel tells.
        observed: What the model sees of the observation: integers, reals, or the newest frame in
            [-1, 1].
        action: What was decided; None where the episode is over.
        attention: (layers, N, tokens remembered), oldest first, the observation itself last. None
            without a model, or where the episode is over.
        expected: What the last action's token had predicted, like `observed`; None without it.
        context: k -> share of the action taken, with only k timesteps remembered.
    """

    step: int
    frame: np.ndarray
    facts: Facts
    observed: np.ndarray
    action: Action | None = None
    attention: np.ndarray | None = None
    expected: np.ndarray | None = None
    context: dict[int, float] = field(default_factory=dict)

    @cached_property
    def thumbnail(self) -> str:
        """The frame, 88 pixels high, as a `data:` address."""
        image, buffer = pillow().Image.fromarray(self.frame), io.BytesIO()
        size = (max(1, round(THUMB * image.width / image.height)), THUMB)
        image.resize(size, pillow().Image.Resampling.BILINEAR).save(buffer, "JPEG", quality=75)
        return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


class Watch:
    """One task at a time, played by the agent, from demonstrations, its teacher, chance, or you.

    The agent is a copy that shares the weights: whoever else plays with the agent given here is not
    disturbed.

    Args:
        agent: The agent.
        task: The task's name.
        seed: Of the episode.
        who: "agent", "retrieve", "teacher", "random", or "you", who give `step` every action.
        context: Timesteps that the agent remembers; all that fit, unless given.
        policy: What happens when they are full; the agent's own policy unless given.
        retriever: Who "retrieve" is.

    Attributes:
        moments: The last timesteps.
        done: Whether the episode is over.
        total: The return so far.
        length: Timesteps so far.
        success: None where the task cannot tell, or the episode goes on.
        ending: How the episode ended, in words.
        temperature: Of the next decisions; 0 for always the likeliest action.
        probing: Whether the next moments have the value of context.
        pad: The names and keys of the actions.
        numbers: Names of the numbers of a vector that is observed.
        rewards: Of the episode so far.
        decisions: What was observed and done so far, for a recording; of you alone.

    Raises:
        ValueError: The task, the player or the policy is unknown, or the agent is an in-context
            agent.
        ImportError: The task's environment is not installed.
    """

    probe: ContextProbe  # where the agent plays
    teacher: Teacher  # where another does

    def __init__(
        self,
        agent: Agent,
        task: str,
        seed: int = FIRST_SEED,
        who: str = "agent",
        context: int | None = None,
        policy: str | None = None,
        retriever: RetrieveAndPlay | None = None,
    ) -> None:
        get_task(task)
        known = who_plays(task, retriever)
        if who not in known:
            raise ValueError(f"{who!r} cannot play {task}: it can be played by {', '.join(known)}")
        self.agent = _copy(agent, context, policy)
        self.task, self.seed, self.who, self.retriever = task, seed, who, retriever
        self.temperature, self.probing = agent.temperature, True
        self.moments: deque[Moment] = deque(maxlen=KEPT)
        self.total, self.length, self.reward = 0.0, 0, 0.0
        self.done, self.ending = False, ""
        self.success: bool | None = None
        self.env: TaskEnv | None = make_env(task)
        try:
            self._begin(self.env)
        except BaseException:
            self.close()
            raise

    def at(self, step: int) -> Moment:
        """The moment of a timestep that is kept, or the last before it."""
        return next((m for m in reversed(self.moments) if m.step <= step), self.moments[0])

    # --- play ---

    def step(self, action: Action | None = None) -> Moment:
        """Do what was decided, and decide anew.

        Nothing happens when the episode is over or the environment closed, nor without an action.

        Args:
            action: Yours, if you play.
        """
        if self.env is None or self.done:
            return self.moments[-1]
        if self.who == "you" and action is not None:
            self._answer(action)
        action = self.moments[-1].action
        if action is None:
            return self.moments[-1]
        result = self.env.step(action)
        self.observation, self.reward, terminated, truncated, info = result
        self.total, self.length = self.total + self.reward, self.length + 1
        self.rewards.append(float(self.reward))
        self.done = terminated or truncated
        if self.done:
            self.success = None if info.get("success") is None else bool(info["success"])
            ending = {None: "", True: ", with success", False: ", without success"}[self.success]
            self.ending = f"The episode is over{ending}"
        moment = self._look(self.env)
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

    def _begin(self, env: TaskEnv) -> None:
        if env.has_wrapper_attr("draw_fast"):
            env.get_wrapper_attr("draw_fast")(FRAME)
        self.names, self.numbers = action_names(env), observations_of(env.task)
        self.pad = Pad.of(env)
        self.rewards: list[float] = []
        self.decisions: list[tuple] = []
        self.observation, _ = env.reset(seed=self.seed)
        if hasattr(env.unwrapped, "tile_size"):  # MiniGrid draws each cell no larger than shown
            env.unwrapped.tile_size = -(-FRAME // env.unwrapped.height)
        if self.attends:
            self.agent.reset(1, env.task)
            most = self.agent.model.config.max_timesteps
            self.probe = ContextProbe(self.agent, [k for k in LENGTHS if k <= most])
        elif self.who != "you":
            self.teacher = self._teacher()
            self.teacher.reset(env, self.seed)
        self._look(env)

    def _teacher(self) -> Teacher:
        """Who plays in place of the agent and of you."""
        if self.who == "retrieve" and self.retriever is not None:
            return Repeater(self.retriever)
        return get_teacher(self.task) if self.who == "teacher" else RandomTeacher()

    def _look(self, env: TaskEnv) -> Moment:
        """See the observation that came, and decide what to do about it."""
        before = self.moments[-1].action if self.length else None
        moment = Moment(self.length, _frame(env), self._facts(), self._observed(env))
        self.moments.append(moment)
        if not self.done:
            try:
                if self.attends:
                    self._decide(moment, before)
                elif self.who != "you":
                    self._follow(moment)
            except TeacherFailed as error:
                self.done, self.ending = True, f"The teacher gave up: {error}"
                moment.facts = self._facts()
        return moment

    def _decide(self, moment: Moment, before: Action | None) -> None:
        """The agent's decision; `before` is its last action."""
        agent, observation, start = self.agent, self.observation, self.length == 0
        greedy, warmth = self.temperature == 0, self.temperature or 1.0
        action = agent.act(observation, self.reward, start, greedy, warmth, [self.seed])
        last = agent.last
        assert last is not None  # `act` has just set it
        moment.action = action
        moment.facts = facts_of(last.probabilities, observation, action, self, self.names)
        moment.attention = in_order(last, last.attentions).astype(np.float16)
        if self.length and last.pred_observations is not None:
            moment.expected = _seen(last.pred_observations[0], agent.task.observation)
        self.probe.add(observation, self.reward, before)
        if self.probing:
            answers = self.probe.ask(warmth)
            within = {k: answer for k, answer in answers.items() if k <= moment.step + 1}
            moment.context = {k: share(answer, action) for k, answer in within.items()}

    def _follow(self, moment: Moment) -> None:
        moment.action = self.teacher.act(self.observation)
        moment.facts = facts_of(None, self.observation, moment.action, self, self.names)
        if isinstance(self.teacher, Repeater):
            moment.facts.note = self.teacher.note

    def _answer(self, action: Action) -> None:
        """Your action, on what is seen now."""
        assert self.env is not None  # `step` has looked
        moment = self.moments[-1]
        moment.action = action
        moment.facts = facts_of(None, self.observation, action, self, self.names)
        self.decisions.append((*observed(self.observation, self.env.task), action))

    def _facts(self) -> Facts:
        """Facts of a timestep on which nothing was decided."""
        mission = self.observation.get("text_observation", "")
        return Facts(self.task, self.length, self.total, mission, ending=self.ending)

    def _observed(self, env: TaskEnv) -> np.ndarray:
        kind = env.task.observation
        values = np.asarray(self.observation[f"{kind}_observation"])
        return _seen(values / 127.5 - 1 if kind == "image" else values, kind)


def _copy(agent: Agent, context: int | None, policy: str | None) -> Agent:
    """An agent with the same weights that records its attention."""
    name = agent.info.get("name", "this agent")
    require(
        not agent.settings.retrieved,
        f"{name} is an in-context agent, and the player shows agents that attend to their own "
        "episode: watch it with `jatlab play AGENT TASK --demonstrations FOLDER --output film.gif`",
    )
    settings = agent.settings.replace(cache_policy=policy or agent.cache_policy)
    copy = Agent(agent.model, agent.tokenizer, agent.info, settings, context or agent.context)
    copy.record_attention = True
    return copy


def _frame(env: TaskEnv) -> np.ndarray:
    try:
        frame = draw(env.render)
    except Exception as error:  # whatever the environment raises: it can be played all the same
        return _notice(f"no picture: {error or type(error).__name__}")
    height, width = frame.shape[:2]
    return frame if height == FRAME else resize(frame, max(1, round(FRAME * width / height)))


def _notice(words: str) -> np.ndarray:
    """A dark picture with a sentence, (320, 320, 3)."""
    pil = pillow()
    canvas = pil.Image.new("RGB", (FRAME, FRAME), GROUND)
    lines = "\n".join(textwrap.wrap(words, 40))
    pil.ImageDraw.Draw(canvas).text((12, 12), lines, font=font(14), fill=MUTED)
    return np.asarray(canvas)


def _seen(values: np.ndarray, kind: str) -> np.ndarray:
    """Of four stacked frames the newest, (84, 84); vectors and grid integers as they are."""
    return np.asarray(values[-1] if kind == "image" else values)
