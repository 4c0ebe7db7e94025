"""Turn a finished demo into what ships: the agent in bfloat16 with its report, the README's tables and its picture. `make ship` runs it.

The table is the shipped agent's own: it is evaluated here as it will be loaded, after rounding its weights.
"""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import torch
from huggingface_hub import ModelCard
from readme import insert

from jatlab.agent import rollout
from jatlab.bench import run as run_bench
from jatlab.card import model_card
from jatlab.checkpoints import SHIPPED, load_agent, save_agent
from jatlab.demo import EPISODES
from jatlab.report import DOMAINS, evaluate_and_report
from jatlab.tasks import make_env
from jatlab.viz.video import caption, save_small_gif

ROOT = Path(__file__).parent.parent
RUN = ROOT / "runs" / "demo"
SHOWN = ("babyai-go-to-local", "babyai-open-door", "metaworld-reach", "metaworld-drawer-open")
COMMAND = "jatlab evaluate demo --tasks " + " ".join(EPISODES) + " --episodes 100"


def main() -> None:
    folder = SHIPPED / "demo"
    save_agent(load_agent(RUN / "agent"), folder, torch.bfloat16)
    agent = load_agent("demo")
    shutil.rmtree(RUN / "shipped", ignore_errors=True)
    evaluate_and_report(agent, list(EPISODES), RUN / "shipped", RUN / "agent", episodes=100, command=COMMAND)
    shutil.copy(RUN / "shipped" / "report.json", folder / "report.json")
    write_card(folder)
    figures()
    insert("results", tables(RUN / "shipped" / "README.md"))
    insert("bench", "\n".join(["| what | ratio | target | |", "| --- | ---: | ---: | --- |", *(bench_row(ratio) for ratio in run_bench())]))
    save_small_gif(picture(agent), ROOT / "docs" / "images" / "demo.gif", fps=8, limit=1_500_000)


def tables(report: Path) -> str:
    """The card's tables and how they were made, without its metadata, its headings one level down and its figures where the README finds them."""
    text = ModelCard.load(report).text.strip().split("\n", 1)[1].replace("](figures/", "](docs/images/")
    return re.sub(r"^## ", "### ", text, flags=re.MULTILINE).strip()


def figures() -> None:
    for path in (RUN / "shipped" / "figures").glob("*.png"):
        shutil.copy(path, ROOT / "docs" / "images" / path.name)


def bench_row(ratio) -> str:
    return f"| {ratio.name} | {ratio.value:.1f} x | {ratio.target:g} x | {ratio.detail} |"


def write_card(folder: Path) -> None:
    """The evaluation's model card, with what the agent is and how it was made."""
    info = json.loads((folder / "training.json").read_text())
    recipe = ", ".join(f"{name} {value}" for name, value in info["recipe"].items() if name in ("preset", "batch_timesteps", "lr", "average", "symmetries", "seed"))
    about = (
        f"A generalist of eight tasks. {info['parameters']:,} parameters, stored in bfloat16. Made by `make demo`: {info['minutes']} minutes on {info['threads']} CPU "
        f"threads, {info['step']:,} steps, {info['timesteps']:,} timesteps ({recipe}). Data, episodes and versions: `training.json`. "
        "Trained on demonstrations that `jatlab record` made with seeds below 1,000,000; played on seeds from 1,000,000."
    )
    card = model_card(json.loads((folder / "report.json").read_text()), DOMAINS, about, "apache-2.0")
    (folder / "README.md").write_text(card.replace("](figures/", "](../../../docs/images/"))


def picture(agent) -> list[np.ndarray]:
    """One episode of each of four tasks, side by side, each staying on its last frame until all are done."""
    films = [film(agent, task) for task in SHOWN]
    longest = max(map(len, films))
    rows = [[f[min(i, len(f) - 1)] for f in films] for i in range(longest)]
    return [np.concatenate([np.concatenate(row[:2], axis=1), np.concatenate(row[2:], axis=1)]) for row in rows]


def film(agent, task: str) -> list[np.ndarray]:
    env = make_env(task)
    episode = rollout(agent, env, seed=1_000_003, render=True)
    env.close()
    words = episode["text_observations"][0] if "text_observations" in episode else task
    totals = np.concatenate([[0], np.cumsum(episode["rewards"])])
    step = 3 if task.startswith("metaworld") else 1
    keep = [*range(0, len(totals), step)]
    return [caption(episode["frames"][t], words, t, totals[t]) for t in keep]


if __name__ == "__main__":
    main()
