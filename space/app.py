"""A page on which jatlab-mini plays: start it with `python space/app.py`.

`watch` and `ask` do the work and know nothing of Gradio; `page` lays it out. On Hugging Face this
file is a Space's `app.py`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import load_agent
from jatlab.agents.generation import generate
from jatlab.data.recording.scenes import Scene, draw_scene, questions
from jatlab.tasks import DOMAINS, domain_of
from jatlab.viz.player.canvas import draw_moment
from jatlab.viz.player.watching import Watch, who_plays

AGENT = "jatlab-mini"
FIRST_TASK = "babyai-go-to-local"
FIRST_SEED = 1_000_000  # recordings used smaller ones
SCENE = (448, 448)  # pixels of a scene as it is shown
LONGEST = 300  # timesteps that are shown
SPEEDS = (1, 20, 4)  # timesteps a second: slowest, fastest, usual

ABOUT = f"""\
# {AGENT} plays

One set of 9.9 million weights, trained on two CPU cores, plays 108 tasks: BabyAI, Meta-World,
MuJoCo and Atari. Choose one and watch. Beside the picture are the probabilities of its actions and
what it expected to see; below are the earlier timesteps that it attends to.
[jatlab](https://github.com/jatlab/jatlab) has the code, the lessons and the scores."""
ASK = """\
The same weights were trained to answer questions about such scenes. On views that it has never seen
it names colours and things almost always, and counts and measures less well."""


@lru_cache(maxsize=1)
def the_agent() -> Agent:
    """The agent, loaded once."""
    return load_agent(AGENT)


def tasks() -> list[str]:
    """The tasks that the agent was trained on, as far as they are played."""
    return sorted(name for name in the_agent().info["data"] if domain_of(name) in DOMAINS)


def watch(
    task: str, seed: float, who: str, temperature: float, speed: float
) -> Iterator[tuple[np.ndarray, str]]:
    """An episode, timestep by timestep: the picture (560, 944, 3) and a line of words.

    Args:
        task: the task's name.
        seed: of the episode.
        who: "agent", "teacher" or "random".
        temperature: of the agent's decisions; 0 takes the likeliest.
        speed: timesteps a second, at most.
    """
    seen = Watch(the_agent(), task, seed=int(seed), who=who if who in who_plays(task) else "agent")
    seen.temperature, seen.probing = temperature, False
    try:
        while True:
            began = time.monotonic()
            yield draw_moment(seen.moments, about=f"{seen.who}, seed {seen.seed}"), told(seen)
            if not seen.open or seen.length >= LONGEST:
                return
            seen.step()
            time.sleep(max(0.0, 1 / speed - (time.monotonic() - began)))
    finally:
        seen.close()


def told(seen: Watch) -> str:
    """How an episode goes, in words."""
    ending = f" {seen.ending}." if seen.done else ""
    return f"{seen.task}: {seen.length} timesteps, return {seen.total:.4g}.{ending}"


def scene(seed: float) -> tuple[np.ndarray, list[str]]:
    """A scene as a picture, and questions that make sense about it."""
    drawn = draw_scene(int(seed))
    large = Image.fromarray(np.asarray(drawn.picture)).resize(SCENE, Image.Resampling.NEAREST)
    return np.asarray(large), [question for question, _ in known_answers(drawn, seed)]


def known_answers(drawn: Scene, seed: float) -> list[tuple[str, str]]:
    """Questions about a scene, with the right answers."""
    return questions(drawn, np.random.default_rng(int(seed)), 6)


def ask(seed: float, question: str) -> str:
    """What the agent answers to a question about a scene; the right answer where it is known."""
    if not question.strip():
        return "Choose a question, or write one."
    drawn = draw_scene(int(seed))
    prompt = f"Q: {question.strip()} A:"
    picture = Image.fromarray(np.asarray(drawn.picture))
    said = generate(prompt, the_agent(), image=picture, max_tokens=12, temperature=0)
    answer = said.split("Q:")[0].strip()
    right = dict(known_answers(drawn, seed)).get(question.strip())
    return answer if right is None else f"{answer} (right: {right})"


def page() -> Any:
    """The page: a tab to watch, a tab to ask."""
    import gradio as gr

    with gr.Blocks(title=f"{AGENT} plays") as blocks:
        gr.Markdown(ABOUT)
        with gr.Tab("Watch"):
            with gr.Row():
                task = gr.Dropdown(tasks(), value=FIRST_TASK, label="Task")
                who = gr.Radio(["agent", "teacher", "random"], value="agent", label="Who plays")
                seed = gr.Number(FIRST_SEED, precision=0, label="Seed")
                warmth = gr.Slider(0, 2, the_agent().temperature, step=0.1, label="Temperature")
                slowest, fastest, usual = SPEEDS
                speed = gr.Slider(slowest, fastest, usual, step=1, label="Timesteps a second")
            with gr.Row():
                play, stop = gr.Button("Play", variant="primary"), gr.Button("Stop")
            words = gr.Textbox(label="So far", interactive=False)
            picture = gr.Image(label="What it sees, and how it decides", format="jpeg")
            playing = play.click(watch, [task, seed, who, warmth, speed], [picture, words])
            stop.click(None, cancels=[playing])
        with gr.Tab("Ask"):
            gr.Markdown(ASK)
            with gr.Row():
                shown = gr.Image(label="Scene")
                with gr.Column():
                    place = gr.Number(FIRST_SEED, precision=0, label="Seed of the scene")
                    question = gr.Dropdown([], label="Question", allow_custom_value=True)
                    button = gr.Button("Ask", variant="primary")
                    answer = gr.Textbox(label="Answer", interactive=False)

            def look(number: float) -> tuple[np.ndarray, Any]:
                view, asked = scene(number)
                return view, gr.Dropdown(asked, value=asked[0] if asked else "")

            place.change(look, place, [shown, question])
            blocks.load(look, place, [shown, question])
            button.click(ask, [place, question], answer)
    return blocks


if __name__ == "__main__":
    page().queue(default_concurrency_limit=2).launch()
