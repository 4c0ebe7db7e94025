"""Turn a finished run into what the repository shows of it: tables, pictures, and the agent itself.

    python -m scripts.ship demo           after `make demo`; `make ship` does both
    python -m scripts.ship jatlab-mini    after `make agent`

The pages of results get the tables and pictures of both agents. jatlab-mini also goes into the
package, in bfloat16, with its report and card; it is evaluated here as it will be loaded, after its
weights are rounded. The demo's agent stays in its folder: anyone makes it in minutes.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import ModelCard

from jatlab.agents.agent import Agent
from jatlab.agents.checkpoints import SHIPPED, load_agent, save_agent
from jatlab.experiments.benchmarks import acting as bench_agent
from jatlab.experiments.benchmarks.algorithms import Ratio
from jatlab.experiments.benchmarks.algorithms import run as run_bench
from jatlab.experiments.recipes import mini
from jatlab.experiments.recipes.demo import EPISODES
from jatlab.utils.manifest import seal
from jatlab.viz.plots import to_png
from jatlab.viz.report.model_card import model_card
from jatlab.viz.report.run import evaluate_and_report
from jatlab.viz.report.words import DOMAIN_TITLES
from jatlab.viz.video import save_small_gif
from scripts import editions
from scripts.pictures import four_episodes, many_episodes, training_curves
from scripts.readme import insert

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
DEMO, MINI = ROOT / "runs" / "demo", ROOT / "runs" / "mini"
DEMO_COMMAND = f"jatlab evaluate runs/demo/agent --tasks {' '.join(EPISODES)} --episodes 100"
MINI_TASKS = f"babyai metaworld mujoco {' '.join((*mini.GAMES, *mini.LANGUAGE))}"
MINI_COMMAND = f"jatlab evaluate jatlab-mini --tasks {MINI_TASKS} --episodes {mini.EPISODES}"
MINI_RUNS = ("imitation", "agent")  # training runs below runs/mini, in order
MINI_CURVES = "mini-learning.png"
# fields of a recipe that a card tells
CARD_FIELDS = ("preset", "batch_timesteps", "mix", "lr", "average", "symmetries", "seed")
CARD = (
    "{what}. {parameters:,} parameters, stored in bfloat16. Made by {made_by}: {minutes}, on "
    "{threads} CPU threads, {steps:,} steps, {timesteps:,} timesteps ({recipe}; at last {batches} "
    "batches a step). Data, episodes and versions: `training.json`. Trained on demonstrations that "
    "`jatlab record` made with seeds below 1,000,000; played on seeds from 1,000,000."
)
MINI_MADE_BY = (
    "the stages of `jatlab mini`, shortened and in six sittings (the first two with an older form "
    "of its recipe), with DAgger relabelling before each of the last three (docs/results/log.md)"
)
MINI_LEFT = (
    "It reaches the goals of Meta-World and Atari and misses these: in BabyAI 0.90 (missions of "
    "several parts, and doors whose key lies elsewhere), in MuJoCo 0.85 (humanoid, walker and "
    "hopper fall), 75 % of the questions about scenes, and a third of the unigram model's "
    "perplexity on the documentation. What would bring it closer: the recipe's other two and a "
    "half hours, for its losses were still falling; more rounds of relabelling for the three "
    "bodies; and steps of their own for texts, whose gradient is one of eight in a step.\n\n"
    "![Loss by domain over the last 75 minutes of training]"
    f"(../../../../docs/images/{MINI_CURVES})\n\n"
    "Loss by domain in the last two runs, 30 minutes at a constant learning rate and 45 with a "
    "falling one, from the third edition on. Lines: the mean of the domain's tasks; dots: "
    "held-out episodes. The scales of the domains cannot be compared: nats for discrete actions, "
    "weighted squared errors for continuous ones."
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("agent", choices=("demo", "jatlab-mini"))
    {"demo": ship_demo, "jatlab-mini": ship_mini}[parser.parse_args().agent]()


def ship_demo() -> None:
    agent, report = load_agent(DEMO / "agent"), DEMO / "shown"
    shutil.rmtree(report, ignore_errors=True)
    log, tasks = DEMO / "agent", list(EPISODES)
    evaluate_and_report(agent, tasks, report, log, episodes=100, command=DEMO_COMMAND)
    keep_figures(report, "")
    insert("results", tables(report / "README.md"))
    insert("bench", bench_table(run_bench()))
    save_small_gif(four_episodes(agent), IMAGES / "demo.gif", fps=8, limit=1_500_000)


def ship_mini() -> None:
    agent, report = round_weights("jatlab-mini", MINI / "agent"), MINI / "shipped"
    names = mini.all_tasks()
    evaluate_and_report(
        agent,
        names,
        report,
        log=MINI / "agent",
        videos=False,
        episodes=mini.EPISODES,
        workers=2,
        data=MINI / "data",
        command=MINI_COMMAND,
    )
    curves = training_curves([MINI / name for name in MINI_RUNS], list(editions.TARGETS))
    to_png(curves, IMAGES / MINI_CURVES)
    count = len(names) - len(mini.LANGUAGE)
    what = f"A generalist of {count} tasks that also reads and writes"
    shutil.copy(report / "report.json", SHIPPED / "jatlab-mini" / "report.json")
    seal(SHIPPED / "jatlab-mini", ["report.json"])
    keep_figures(report, "mini-")
    results = json.loads((report / "report.json").read_text())
    compared = f"## Third and fourth edition, task by task\n\n{editions.task_table(results)}"
    left = f"{MINI_LEFT}\n\n{compared}"
    write_card(SHIPPED / "jatlab-mini", "mini-", what, MINI_MADE_BY, left)
    speed = bench_agent.as_table("jatlab-mini", bench_agent.run("jatlab-mini"))
    played, read = editions.domain_table(results, MINI_COMMAND), editions.language_table(results)
    insert("mini", f"{played}\n\n{read}\n\n{speed}")
    insert("scores", readme_table(results))
    save_small_gif(many_episodes(agent), IMAGES / "mini.gif", fps=4, limit=2_200_000)


def round_weights(name: str, run: Path) -> Agent:
    """Save the run's agent in bfloat16 under the name that it ships by, and load it from there."""
    save_agent(load_agent(run), SHIPPED / name, torch.bfloat16)
    return load_agent(name)


def keep_figures(report: Path, prefix: str) -> None:
    """Keep a report's figures among the pages' images."""
    for domain in DOMAIN_TITLES:
        if (figure := report / "figures" / f"{domain}.png").exists():
            shutil.copy(figure, IMAGES / f"{prefix}{figure.name}")


# --- tables ---------------------------------------------------------------------------------------


def readme_table(results: dict[str, Any]) -> str:
    """A row for each domain with its scores, for readers who know nothing else yet."""
    lines = [
        "| domain, tasks | of our teacher | of the published expert | published JAT (192.7 M) |",
        "| --- | ---: | ---: | ---: |",
    ]
    for domain in editions.TARGETS:
        found = results["domains"][domain]
        taught, expert = found["by_teacher"], found["by_expert"]
        low, high = taught["mean_interval"]
        lines.append(
            f"| {DOMAIN_TITLES[domain]}, {len(found['tasks'])} | **{taught['mean']:.2f}** "
            f"[{low:.2f}–{high:.2f}] | {expert['mean']:.2f} | {expert['jat']:.2f} |"
        )
    return "\n".join(lines)


def bench_table(ratios: list[Ratio]) -> str:
    """A row for each ratio of `jatlab bench`."""
    lines = ["| what | ratio | target | |", "| --- | ---: | ---: | --- |"]
    for ratio in ratios:
        value, target = f"{ratio.value:.1f} x", f"{ratio.target:g} x"
        lines.append(f"| {ratio.name} | {value} | {target} | {ratio.detail} |")
    return "\n".join(lines)


def tables(card: Path) -> str:
    """A card's tables and how they were made, without its metadata and title, for docs/results."""
    text = ModelCard.load(card).text.strip().split("\n", 1)[1]
    return text.replace("](figures/", "](../images/").strip()


# --- the model card -------------------------------------------------------------------------------


def write_card(folder: Path, prefix: str, what: str, made_by: str, left: str = "") -> None:
    """Write the evaluation's model card into the agent's folder.

    Args:
        folder: of the agent that ships.
        prefix: of its figures' names among the pages' images.
        what: what the agent is, one sentence without its full stop.
        made_by: the command, or the stages.
        left: what is left to do, in Markdown.
    """
    info = json.loads((folder / "training.json").read_text())
    runs = history(info)
    fields = [f"{name} {value}" for name, value in info["recipe"].items() if name in CARD_FIELDS]
    about = CARD.format(
        what=what,
        made_by=made_by,
        parameters=info["parameters"],
        minutes=" and ".join(minutes_of(run) for run in reversed(runs)),
        threads=info["threads"] * info["processes"],
        steps=sum(run["step"] for run in runs),
        timesteps=sum(run["timesteps"] for run in runs),
        recipe=", ".join(fields),
        batches=info["recipe"]["accumulate"] * info["processes"],
    )
    results = json.loads((folder / "report.json").read_text())
    card = model_card(results, f"{about}\n\n{left}".strip(), "apache-2.0")
    card = card.replace("](figures/", f"](../../../../docs/images/{prefix}")
    (folder / "README.md").write_text(card, encoding="utf-8")


def minutes_of(run: dict[str, Any]) -> str:
    return f"{run['minutes']:.1f} minutes at a {run['recipe']['decay']} learning rate"


def history(info: dict[str, Any]) -> list[dict[str, Any]]:
    """The training run that an agent came out of, and the runs before it, newest first."""
    return [info, *(history(info["before"]) if info.get("before") else [])]


if __name__ == "__main__":
    main()
