"""Turn a finished run into what ships: the agent in bfloat16 with its report, the tables of the
pages of results, and its picture.

    python -m scripts.ship demo           after `make demo`; `make ship` does both
    python -m scripts.ship jatlab-mini    after `make agent`

The tables are the shipped agent's own: it is evaluated here as it will be loaded, after rounding
its weights.
"""

import argparse
import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import ModelCard
from matplotlib.figure import Figure

from jatlab.agents.agent import rollout
from jatlab.agents.checkpoints import SHIPPED, load_agent, save_agent
from jatlab.experiments.benchmarks import acting as bench_agent
from jatlab.experiments.benchmarks.algorithms import run as run_bench
from jatlab.experiments.recipes import mini
from jatlab.experiments.recipes.demo import EPISODES
from jatlab.tasks import make_env
from jatlab.training.log import read_log
from jatlab.viz.grid import grid, tile, tile_size
from jatlab.viz.plots import AGENT, INK, MUTED, label_decades, smooth, style, to_png
from jatlab.viz.report.model_card import model_card
from jatlab.viz.report.run import evaluate_and_report
from jatlab.viz.report.words import DOMAIN_TITLES, interval
from jatlab.viz.video import caption, save_small_gif
from scripts.readme import insert

ROOT = Path(__file__).parent.parent
IMAGES = ROOT / "docs" / "images"
DEMO, MINI = ROOT / "runs" / "demo", ROOT / "runs" / "mini"
DEMO_SHOWN = ("babyai-go-to-local", "babyai-open-door", "metaworld-reach", "metaworld-drawer-open")
DEMO_COMMAND = "jatlab evaluate demo --tasks " + " ".join(EPISODES) + " --episodes 100"
MINI_SHOWN = (
    "babyai-go-to",
    "babyai-pickup-loc",
    "metaworld-pick-place",
    "metaworld-window-open",
    "mujoco-halfcheetah",
    "mujoco-hopper",
    "atari-boxing",
    "atari-freeway",
)
MINI_COMMAND = f"jatlab evaluate jatlab-mini --tasks babyai metaworld mujoco {' '.join((*mini.GAMES, *mini.LANGUAGE))} --episodes {mini.EPISODES}"
RECIPE = (
    "preset",
    "batch_timesteps",
    "mix",
    "lr",
    "average",
    "symmetries",
    "seed",
)  # of a recipe, what a card tells
LONGEST, FRAMES = 200, 24  # timesteps of an episode that are shown, and in how many frames
MINI_MADE = "the stages of `jatlab mini`, shortened and in four sittings (the first two with an older form of its recipe), with corrections of the MuJoCo tasks alone (docs/results/log.md)"
MINI_RUNS = ("imitation", "agent")  # training runs below runs/mini, in order
MINI_CURVES = "mini-learning.png"
MINI_LEFT = (
    "Of what it was to reach it misses: in BabyAI 0.86 (missions of several parts, doors whose key lies elsewhere), in MuJoCo 0.85 (humanoid, halfcheetah, walker and hopper), in "
    "Meta-World 0.90 by a hundredth; by the published expert also Atari's 0.41 (Breakout, Qbert and SpaceInvaders). What would close it: the other four hours of the recipe, corrections "
    "in every domain, and a third round of them for the bodies that fall.\n\n"
    f"![Loss by domain over the last hour of training](../../../../docs/images/{MINI_CURVES})\n\n"
    "The last two runs, 37 minutes at a steady learning rate and 23 with a falling one, from the second edition on: loss by domain, the mean of its tasks; dots: held-out episodes. (The scales of "
    "domains cannot be compared: nats for what is chosen, weighted squared errors for what is steered. The logs of the first two editions were not kept.)"
)
TARGETS = {
    "babyai": (0.862, 0.862),
    "metaworld": (0.9, 0.6),
    "mujoco": (0.85, 0.735),
    "atari": (0.5, 0.41),
}  # by our teacher, by the published expert


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("agent", choices=("demo", "jatlab-mini"))
    {"demo": ship_demo, "jatlab-mini": ship_mini}[parser.parse_args().agent]()


def ship_demo() -> None:
    agent = round_weights("demo", DEMO / "agent")
    shutil.rmtree(DEMO / "shipped", ignore_errors=True)
    evaluate_and_report(
        agent, list(EPISODES), DEMO / "shipped", DEMO / "agent", episodes=100, command=DEMO_COMMAND
    )
    keep_report("demo", DEMO / "shipped", "", "A generalist of eight tasks", "`make demo`")
    insert("results", tables(DEMO / "shipped" / "README.md"))
    insert(
        "bench",
        "\n".join(
            [
                "| what | ratio | target | |",
                "| --- | ---: | ---: | --- |",
                *(bench_row(ratio) for ratio in run_bench()),
            ]
        ),
    )
    save_small_gif(picture(agent), IMAGES / "demo.gif", fps=8, limit=1_500_000)


def ship_mini() -> None:
    agent = round_weights("jatlab-mini", MINI / "agent")
    names = mini.all_tasks()
    settings = {
        "episodes": mini.EPISODES,
        "workers": 2,
        "data": MINI / "data",
        "command": MINI_COMMAND,
        "videos": False,
    }
    evaluate_and_report(agent, names, MINI / "shipped", MINI / "agent", **settings)
    to_png(learning(MINI / name for name in MINI_RUNS), IMAGES / MINI_CURVES)
    keep_report(
        "jatlab-mini",
        MINI / "shipped",
        "mini-",
        f"A generalist of {len(names) - len(mini.LANGUAGE)} tasks that also reads and writes",
        MINI_MADE,
        MINI_LEFT,
    )
    found = json.loads((MINI / "shipped" / "report.json").read_text())
    insert(
        "mini",
        domain_table(found)
        + "\n\n"
        + bench_agent.in_words("jatlab-mini", bench_agent.run("jatlab-mini")),
    )
    insert("scores", readme_table(found))
    save_small_gif(sheet(agent), IMAGES / "mini.gif", fps=4, limit=2_200_000)


def round_weights(name: str, run: Path):
    """The run's agent in bfloat16 under the name that it ships by, loaded from there."""
    save_agent(load_agent(run), SHIPPED / name, torch.bfloat16)
    return load_agent(name)


def keep_report(
    name: str, report: Path, prefix: str, what: str, command: str, left: str = ""
) -> None:
    """The evaluation beside the weights: report, card and figures."""
    shutil.copy(report / "report.json", SHIPPED / name / "report.json")
    write_card(SHIPPED / name, prefix, what, command, left)
    for domain in DOMAIN_TITLES:
        if (figure := report / "figures" / f"{domain}.png").exists():
            shutil.copy(figure, IMAGES / f"{prefix}{figure.name}")


def domain_table(results: dict) -> str:
    """A row a domain: this agent, what it was to reach, and the published JAT."""
    rows = []
    for domain, (taught, expert) in TARGETS.items():
        found = results["domains"][domain]
        ours = [
            f"{found[scale]['mean']:.2f} [{interval(found[scale]['mean_interval'], 2)}]"
            for scale in ("by_teacher", "by_expert")
        ]
        rows.append(
            f"| {DOMAIN_TITLES[domain]}, {len(found['tasks'])} | {ours[0]} | {taught:.2f} | {ours[1]} | {expert:.2f} | {found['by_expert']['jat']:.2f} |"
        )
    head = "| domain, tasks | by our teacher | to reach | by the published expert | to reach | published JAT (192.7 M), same tasks |"
    told = f"Means of task scores, {results['settings']['episodes']} episodes a task, seeds from {results['settings']['seed']:,}; 95 % intervals in brackets. `{MINI_COMMAND}`"
    return "\n".join([told, "", head, "| --- | ---: | ---: | ---: | ---: | ---: |", *rows])


def readme_table(results: dict) -> str:
    """A row a domain, for readers who have seen nothing else yet: the scores alone."""
    rows = ["| domain, tasks | of our teacher | of the published expert | published JAT (192.7 M) |"]
    rows.append("| --- | ---: | ---: | ---: |")
    for domain in TARGETS:
        found = results["domains"][domain]
        ours = [found[scale]["mean"] for scale in ("by_teacher", "by_expert")]
        low, high = found["by_teacher"]["mean_interval"]
        rows.append(
            f"| {DOMAIN_TITLES[domain]}, {len(found['tasks'])} | **{ours[0]:.2f}** [{low:.2f}–{high:.2f}] "
            f"| {ours[1]:.2f} | {found['by_expert']['jat']:.2f} |"
        )
    return "\n".join(rows)


def tables(report: Path) -> str:
    """The card's tables and how they were made, as the page of results shows them: without metadata,
    headings one level down, figures where the page finds them.
    """
    text = (
        ModelCard.load(report)
        .text.strip()
        .split("\n", 1)[1]
        .replace("](figures/", "](../images/")
    )
    return re.sub(r"^## ", "### ", text, flags=re.MULTILINE).strip()


def bench_row(ratio) -> str:
    return f"| {ratio.name} | {ratio.value:.1f} x | {ratio.target:g} x | {ratio.detail} |"


def write_card(folder: Path, prefix: str, what: str, command: str, left: str = "") -> None:
    """The evaluation's model card, with what the agent is, how it was made, and what is ``left`` to
    do.
    """
    info = json.loads((folder / "training.json").read_text())
    runs, batches = history(info), info["recipe"]["accumulate"] * info["processes"]
    recipe = ", ".join(
        f"{name} {value}" for name, value in info["recipe"].items() if name in RECIPE
    )
    minutes = " and ".join(
        f"{run['minutes']:.1f} minutes at a {run['recipe']['decay']} learning rate"
        for run in reversed(runs)
    )
    steps, timesteps = (sum(run[key] for run in runs) for key in ("step", "timesteps"))
    about = (
        f"{what}. {info['parameters']:,} parameters, stored in bfloat16. Made by {command}: {minutes}, on {info['threads'] * info['processes']} CPU "
        f"threads, {steps:,} steps, {timesteps:,} timesteps ({recipe}; at last {batches} batches a step). Data, episodes and versions: `training.json`. "
        "Trained on demonstrations that `jatlab record` made with seeds below 1,000,000; played on seeds from 1,000,000."
    ) + (left and f"\n\n{left}")
    results = json.loads((folder / "report.json").read_text())
    card = model_card(results, about, "apache-2.0")
    (folder / "README.md").write_text(
        card.replace("](figures/", f"](../../../../docs/images/{prefix}")
    )


def history(info: dict) -> list[dict]:
    """The training run that an agent came out of, and those before it."""
    return [info, *(history(info["before"]) if info.get("before") else [])]


def learning(runs: Iterable[Path]):
    """The losses of training runs, one after the other, a panel a domain; a vertical line where the
    next run begins.
    """
    figure = Figure(figsize=(9.5, 2.4), layout="constrained")
    with style():
        panels = figure.subplots(1, len(TARGETS))
        minutes = 0.0
        for number, run in enumerate(runs):
            log = read_log(run)
            for axes, domain in zip(panels, TARGETS):
                _draw_losses(axes, domain, log, minutes)
                if number:
                    axes.axvline(minutes, color=MUTED, linewidth=0.8, linestyle=":")
            minutes += log[-1]["seconds"] / 60
        for axes in panels:
            axes.set_xlim(0, 1.02 * minutes)
        panels[0].set_ylabel("loss (log scale)")
    return figure


def _draw_losses(axes, domain: str, log: list[dict], before: float) -> None:
    for kind, line, window in (("loss", "-", 12), ("validation", "o", 1)):
        seen = [(entry["seconds"] / 60, of_domain(entry.get(kind, {}), domain)) for entry in log]
        points = np.array(
            [(before + minute, np.mean(losses)) for minute, losses in seen if losses]
        ).reshape(-1, 2)
        axes.plot(
            points[:, 0],
            smooth(points[:, 1], window),
            line,
            color=AGENT,
            linewidth=1.4,
            markersize=4,
        )
    axes.set_yscale("log")
    label_decades(axes.yaxis)
    axes.set_title(DOMAIN_TITLES[domain], loc="left", size=9, color=INK)
    axes.set_xlabel("minutes of training")


def of_domain(losses: dict[str, float], domain: str) -> list[float]:
    return [loss for task, loss in losses.items() if task.startswith(domain)]


def picture(agent) -> list[np.ndarray]:
    """One episode of each of the demo's four tasks, side by side, each staying on its last frame
    until all are done.
    """
    videos = [video(agent, task) for task in DEMO_SHOWN]
    longest = max(map(len, videos))
    rows = [[f[min(i, len(f) - 1)] for f in videos] for i in range(longest)]
    return [
        np.concatenate([np.concatenate(row[:2], axis=1), np.concatenate(row[2:], axis=1)])
        for row in rows
    ]


def video(agent, task: str) -> list[np.ndarray]:
    episode = played(agent, task)
    words = episode["text_observations"][0] if "text_observations" in episode else task
    totals = np.concatenate([[0], np.cumsum(episode["rewards"])])
    step = 3 if task.startswith("metaworld") else 1
    return [caption(episode["frames"][t], words, t, totals[t]) for t in range(0, len(totals), step)]


def sheet(agent) -> list[np.ndarray]:
    """The beginnings of eight episodes of jatlab-mini's, side by side, two of each domain."""
    return grid(
        {
            "": {
                task: tile(
                    played(agent, task, LONGEST)["frames"], tile_size(len(MINI_SHOWN)), FRAMES
                )
                for task in MINI_SHOWN
            }
        }
    )


def played(agent, task: str, most: int | None = None) -> dict:
    env = make_env(task)
    episode = rollout(agent, env, seed=1_000_003, render=True, max_steps=most)
    env.close()
    return episode


if __name__ == "__main__":
    main()
