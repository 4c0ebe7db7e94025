"""The pages of the site that are made from the code, written before Sphinx reads its sources.

They are the lessons (copies of the notebooks, and their table), the reference of the command line
(from its parser), the reference of the API (a page per module, filled by autodoc), the table of
costs, and the picture of the package's structure. `docs/.gitignore` lists them: none is committed
but the picture. A file whose text is the same as before is left alone, so that Sphinx need not
read it again.
"""

from __future__ import annotations

import argparse
import re
import shutil
from functools import partial
from pathlib import Path

from scripts import structure
from scripts.badges import BRANCH, homepage, repository, table
from scripts.docs import api
from scripts.lessons import NOTEBOOKS, lessons

ROOT = Path(__file__).resolve().parents[2]
USAGE_WIDTH = 88  # characters of a line, whatever terminal this runs in
MANY_TASKS = 3  # of an ablation; with more, the table begins with all of them together
REPOSITORY = homepage() + "/"
SITE = "https://{}.github.io/{}/".format(*repository(homepage()).split("/"))

__all__ = ["BRANCH", "REPOSITORY", "ROOT", "SITE", "write_all"]


def write_all(docs: Path) -> None:
    """Write every generated page below ``docs``, the folder of Sphinx's sources."""
    for notebook in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"):
        _copy(notebook, docs / "lessons" / notebook.name)
    _write(docs / "_generated" / "lessons.md", table(lessons(), homepage(), ""))
    _write(docs / "_generated" / "commands.md", commands())
    _write(docs / "_generated" / "cost.md", cost())
    _write(docs / "_generated" / "ablations.md", ablations())
    _write(docs / "design" / "structure.svg", structure.drawing())
    wanted = {f"{name}.rst": page for name, page in api.pages().items()}
    for name, page in wanted.items():
        _write(docs / "reference" / "api" / name, page)
    for old in (docs / "reference" / "api").glob("*.rst"):
        if old.name not in wanted:
            old.unlink()


def _write(path: Path, text: str) -> None:
    text = text.rstrip("\n") + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _copy(source: Path, path: Path) -> None:
    if not path.exists() or path.read_bytes() != source.read_bytes():
        shutil.copyfile(source, path)


# --- the command line


def commands() -> str:
    """Every command of `jatlab` with its arguments, as Markdown, from the parser itself."""
    from jatlab.cli import build_parser

    parser = build_parser()
    return "\n\n".join(_command(name, sub) for name, sub in subcommands(parser).items())


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's commands, by name."""
    return {
        name: sub
        for action in parser._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, sub in action.choices.items()
    }


def _command(name: str, parser: argparse.ArgumentParser) -> str:
    about = (parser.description or "").strip()
    parser.formatter_class = partial(argparse.HelpFormatter, width=USAGE_WIDTH)
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    usage = re.sub(r"\n\s+", "\n    ", usage)
    arguments = [_argument(action, parser) for action in parser._actions if action.dest != "help"]
    return "\n\n".join(
        [f"## jatlab {name}", _sentence(about), f"```text\n{usage}\n```", *arguments]
    )


def _argument(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """One argument in a definition list: how it is written, what it does, its default."""
    written = parser._get_formatter()._format_action_invocation(action)
    about = _sentence((action.help or "").replace("%(default)s", str(action.default)).strip())
    default = action.default
    said = "default" in about.lower() or isinstance(default, bool)
    if default not in (None, argparse.SUPPRESS) and default != [] and not said:
        shown = " ".join(map(str, default)) if isinstance(default, (list, tuple)) else default
        about += f" Default: `{shown}`."
    return f"`{written}`\n: {_code_names(about)}"


def _sentence(text: str) -> str:
    """The text with a capital at its beginning and a full stop at its end."""
    text = re.sub(r"\s+", " ", text)
    if not text:
        return text
    return text[0].upper() + text[1:] + ("" if text[-1] in ".?!" else ".")


def _code_names(text: str) -> str:
    """Values in quotes as code, and stars kept from being Markdown."""
    text = re.sub(r"(?<!\w)'([^']+)'(?!\w)", r"`\1`", text)
    return re.sub(r"\*(?![^`]*`)", r"\\*", text)


# --- results that are computed or stored with the package


def ablations() -> str:
    """The results of every ablation that ships, as Markdown tables."""
    from jatlab.experiments.ablations import load, shipped

    return "\n\n".join(_ablation(load(name)) for name in shipped())


def _ablation(results: dict) -> str:
    """One ablation: its question, and a row for each task and variant."""
    from jatlab.experiments.ablations import cost_table, over_tasks, side_by_side
    from jatlab.experiments.benchmarks.tables import table

    by_task, told = side_by_side(results), f"`{results['command']}`: {_runs(results)}"
    if len(by_task) > MANY_TASKS and len(set(map(tuple, by_task.values()))) == 1:
        by_task = over_tasks(results) | by_task
    told += f", {results['minutes']:.0f} minutes of one core in all."
    rows = [
        "| task | variant | score | 95 % interval | less the first |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for task, variants in by_task.items():
        first = next(iter(variants))
        for name, found in variants.items():
            low, high = found["interval"]
            rows.append(
                f"| {task} | {name} | {found['mean']:.2f} | {low:.2f} to {high:.2f} "
                f"| {_difference(results, task, first, name)} |"
            )
    parts = [f"## {results['name']}", f"*{results['question']}*", told, "\n".join(rows)]
    if costs := cost_table(results):
        parts.append(table(*costs))
    return "\n\n".join(parts)


def _runs(results: dict) -> str:
    """How many runs the variants have."""
    from jatlab.experiments.ablations.results import run_counts

    runs = run_counts(results)
    return f"{runs} run{'s' * (runs != '1')} of each variant"


def _difference(results: dict, task: str, first: str, name: str) -> str:
    """How a variant differs from the first one over runs, and whether the two can be told apart."""
    from jatlab.experiments.ablations import difference, paired

    means = paired(results, task, first, name)
    if name == first or len(means[0]) < 2:
        return ""
    mean, (low, high) = difference(*means)
    verdict = "better" if low > 0 else "worse" if high < 0 else "not told apart"
    return f"{mean:+.2f} ({low:+.2f} to {high:+.2f}), {verdict}"


def cost() -> str:
    """What `jatlab cost` says of the published training on one device, as Markdown."""
    from jatlab.experiments.benchmarks.cost_report import report

    text = report("paper", 250_000, device="H100 SXM")
    return re.sub(r"^# (.*)$", r"## \1", text, flags=re.MULTILINE)
