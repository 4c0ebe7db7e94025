"""The report of an evaluation: `report.html` (no network, no script), `README.md` (a model card),
`report.json`.

With few tasks the page is one file; with many, the videos stay beside it and load when they are
looked at. Everything a page says comes from the results of `jatlab.evaluate`; the words about how
it was made too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from jatlab.evaluation.evaluate import EpisodeVideo, evaluate
from jatlab.tasks import domain_of, short_name
from jatlab.utils.files import ASSETS, write_json, write_text
from jatlab.viz import plots
from jatlab.viz.report.model_card import model_card
from jatlab.viz.report.tables import (
    LANGUAGE,
    OFFICIAL,
    ONE_EPISODE,
    OVERVIEW,
    SCALE_WORDS,
    comparison,
    failures,
    interval,
    language_rows,
    left_out,
    made,
    number,
    overview,
    percent,
    plural,
    ratio,
    summary,
    versus,
)  # fmt: skip
from jatlab.viz.report.videos import clips, grid_figure, save_grid, save_task_video

STYLESHEET = ASSETS / "report.css"
DOMAINS = {"babyai": "BabyAI", "metaworld": "Meta-World", "mujoco": "MuJoCo", "atari": "Atari"}
# tasks of a domain that a page shows at once; more are folded away, below the domain's averages
UNFOLDED = 12


def evaluate_and_report(
    agent,
    tasks: str | Iterable[str],
    output: str | Path,
    log: str | Path | None = None,
    videos: bool = True,
    **options,
) -> dict:
    """`evaluate` (whose `options` it takes), with a video of each task's first episode (unless
    `videos=False`); write the report into `output`, print the averages (unless `progress=False`),
    and return the results.

    Played again into the same folder, tasks that are complete are not replayed. `log` is a
    `log.jsonl`, or the folder of the training run that wrote it.
    """
    folder, lines = (
        Path(output) / "videos",
        read_lines(log),
    )  # a log that is not there is said before an hour of play
    videos: Callable[[str, EpisodeVideo | None], None] = lambda name, video: (
        video and save_task_video(video, folder, name)
    )
    results = evaluate(agent, tasks, output=output, videos=videos, on_task=videos, **options)
    if videos:
        save_grid(results, folder, DOMAINS)
    path = write_report(results, output, log=lines, videos=folder)
    if options.get("progress", True):
        print(f"{summary(results, DOMAINS)}\nreport: {path}")
    return results


def write_report(
    results: dict,
    folder: str | Path,
    log: str | Path | Sequence[dict] | None = None,
    videos: str | Path | None = None,
) -> Path:
    """Write `report.html`, `README.md`, `report.json` and `figures/` into `folder`; return the path
    of the page.

    `results` come from `evaluate`, `log` from training (a `log.jsonl`, its folder, or its lines),
    `videos` is the folder that `save_task_video` wrote to. Raises `ValueError` for results without
    a task, `FileNotFoundError` for a log that is not there.
    """
    if not results.get("tasks") and not results.get("language"):
        raise ValueError(
            "there is nothing to report: the results hold no task. Evaluate some first: jatlab evaluate AGENT --tasks babyai metaworld"
        )
    folder, lines = Path(folder), read_lines(log)
    write_json(folder / "report.json", results)
    write_text(folder / "README.md", model_card(results, DOMAINS))
    _write_figures(results, lines, folder / "figures")
    return write_text(
        folder / "report.html", page(results, lines, None if videos is None else Path(videos))
    )


def read_lines(log: str | Path | Sequence[dict] | None) -> list[dict]:
    """The lines of a training log that hold losses."""
    if log is None:
        return []
    if isinstance(log, (str, Path)):
        from jatlab.training.log import read_log

        path = Path(log)
        path = path.parent if path.suffix == ".jsonl" else path
        if not (path / "log.jsonl").exists():
            raise FileNotFoundError(
                f"no log.jsonl in {path}: give the folder that `jatlab train` wrote to, or leave the log out"
            )
        log = read_log(path)
    return [line for line in log if line.get("loss")]


def page(results: dict, log: Sequence[dict], videos: Path | None) -> str:
    """The whole page as HTML."""
    name = escape(results["agent"]["name"])
    domains = "".join(_domain(results, domain, videos) for domain in results["domains"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>How well {name} plays</title>
<style>
{STYLESHEET.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{_head(results, name)}
{grid_figure(results, videos)}
{_language(results)}
{domains}
{_learning(results, log)}
{_made(results)}
</main>
</body>
</html>
"""


# --- the parts of the page
# ----------------------------------------------------------------------------------------------------


def _head(results: dict, name: str) -> str:
    parameters = results["agent"]["parameters"]
    size = f"{parameters:,} parameters, " if parameters else ""
    cards = "".join(_card(domain, found) for domain, found in results["domains"].items())
    failed = "".join(f'<p class="failed">{escape(line)}</p>' for line in failures(results))
    official = f'<p class="muted">{escape(OFFICIAL)}</p>' if results["domains"] else ""
    return f"""<header>
<h1>How well {name} plays</h1>
<p class="lead">One agent, {size}{_scope(results)}</p>
{failed}
<div class="domains">{cards}</div>
{official}
</header>"""


def _scope(results: dict) -> str:
    """What the agent was tried on, and how its scores are to be read."""
    if not results["tasks"]:
        return f"scored on what was held out of {plural(len(results['language']), 'data set')} of text and pictures; ranges are 95 % intervals."
    episodes = results["settings"]["episodes"]
    ranges = "ranges are 95 % intervals" if episodes > 1 else ONE_EPISODE
    return (f"{plural(len(results['tasks']), 'task')}, {plural(episodes, 'seeded episode')} of each, on seeds that no demonstration was recorded with.\n"
            f"0 is the random policy, 1 the reference; {ranges}.")  # fmt: skip


def _card(domain: str, found: dict) -> str:
    """A domain's averages beside the published JAT's, and what is in none of them."""
    success = (
        ""
        if found["success_rate"] is None
        else f", {percent(found['success_rate'])} of episodes succeed"
    )
    head = f"<h3>{escape(DOMAINS.get(domain, domain))} <span>{plural(len(found['tasks']), 'task')}{success}</span></h3>"
    rows = overview(found, domain)
    table = _averages(rows) if rows else '<p class="muted">No task has a normalised score.</p>'
    missing = "".join(f'<p class="muted">{escape(line)}</p>' for line in left_out(found))
    return f'<section class="card">{head}{table}{missing}</section>'


def _averages(rows: list[list[str]]) -> str:
    """`overview` as a table with a heading for each scale."""
    parts = []
    for index, (scale, average, ours, *others) in enumerate(rows):
        if index == 0 or rows[index - 1][0] != scale:
            parts.append(f'<tr><th scope="rowgroup" colspan="4">{escape(scale)}</th></tr>')
        score, _, bounds = ours.partition(" ")
        cells = "".join(f'<td class="key">{other}</td>' for other in others)
        parts.append(
            f'<tr><th scope="row">{average}</th><td><b>{score}</b> <small>{bounds}</small></td>{cells}</tr>'
        )
    head = "".join(f'<th scope="col">{escape(column)}</th>' for column in ("", *OVERVIEW[2:]))
    return f'<table class="averages"><thead><tr>{head}</tr></thead><tbody>{"".join(parts)}</tbody></table>'


def _language(results: dict) -> str:
    escaped = [[escape(cell) for cell in row] for row in language_rows(results)]
    rows = "".join(_cells(name, cells, LANGUAGE[1:]) for name, *cells in escaped)
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{column}</th>' for column in LANGUAGE)
    return f"<section><h2>Text and pictures</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>"


def _domain(results: dict, domain: str, videos: Path | None) -> str:
    title, found = DOMAINS.get(domain, domain), results["domains"][domain]
    tasks, scales = {name: results["tasks"][name] for name in found["tasks"]}, _scales(found)
    figures = "".join(_score_figure(title, tasks, found, scale) for scale in scales)
    videos, folded = clips(tasks, videos), len(tasks) > UNFOLDED
    return f"""<section>
<h2>{escape(title)}</h2>
<p>{escape(comparison(tasks, found))}</p>
{_fold(f"Charts of {plural(len(tasks), 'task')}", f'<div class="pair">{figures}</div>{KEY}', folded) if figures else ""}
{_fold(f"Table of {plural(len(tasks), 'task')}", _table(tasks, found), folded)}
{_fold("First episodes", videos, folded) if videos else ""}
</section>"""


KEY = """<p class="muted">Bars: mean return of a task; lines: its 95 % interval. <span class="key">◇ published JAT</span>, which its authors measured on the environments
of their day.</p>"""


def _fold(words: str, content: str, folded: bool) -> str:
    """Content that a click unfolds, or as it is."""
    return f"<details><summary>{escape(words)}</summary>{content}</details>" if folded else content


def _scales(found: dict) -> list[str]:
    """The scales that some task of a domain has."""
    return [scale for scale in SCALE_WORDS if found[scale]["tasks"]]


def _score_figure(title: str, tasks: dict, found: dict, scale: str) -> str:
    words = [f"{short_name(name)} {versus(task[scale])}" for name, task in tasks.items()]
    label = f"Bar chart. Normalised returns of {title} as a share {SCALE_WORDS[scale]}: {'; '.join(words)}."
    return f"<figure>{_svg(plots.score_figure(tasks, [scale], found), f'{title}-{scale}', label)}</figure>"


COLORS = {
    plots.INK: "ink",
    plots.MUTED: "muted",
    plots.GRID: "line",
    plots.AGENT: "agent",
    plots.TINT: "tint",
    plots.JAT: "jat",
}


def _svg(figure, salt: str, label: str, colors: dict[str, str] = COLORS) -> str:
    """The figure in the page's own colours and letters, light or dark."""
    svg = plots.to_svg(figure, salt)
    for color, name in colors.items():
        svg = svg.replace(color, f"var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


COLUMNS = (
    "Return", "Success", "Of our teacher", "Of the published expert", "Published JAT, of the expert", "Of human play", "Random", "Our teacher", "Published expert",
    "Published JAT",
)  # fmt: skip


def _table(tasks: dict, found: dict) -> str:
    """A row a task; columns in which no task has anything are left out."""
    rows = {
        short: _row(task)
        for short, task in zip(map(short_name, tasks), tasks.values(), strict=True)
    }
    kept = [
        index for index in range(len(COLUMNS)) if any(row[index] != "–" for row in rows.values())
    ]
    labels = [COLUMNS[index] for index in kept]
    body = "".join(
        _cells(escape(short), [row[index] for index in kept], labels) for short, row in rows.items()
    )
    if len(tasks) > 1:
        mean = _mean_row(found)
        body += _cells("mean of tasks", [mean[index] for index in kept], labels, "mean")
    head = "".join(f'<th scope="col">{column}</th>' for column in ("Task", *labels))
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _row(task: dict) -> list[str]:
    success, references, returned = task["success"], task["references"], task["return"]
    return [
        f"<b>{number(returned['mean'])}</b> ± {number(returned['std'])} <small>{interval(returned['interval'])}</small>",
        f"{percent(success['rate'])} <small>{interval([100 * x for x in success['interval']], 0)}</small>"
        if success
        else "–",
        _scaled(task["by_teacher"]),
        _scaled(task["by_expert"]),
        "–" if task["jat_by_expert"] is None else ratio(task["jat_by_expert"]),
        _scaled(task["by_human"]),
        *(
            number(references[who]["mean"]) if references[who] else "–"
            for who in ("random", "teacher", "expert", "jat")
        ),
    ]


def _scaled(score: dict) -> str:
    return (
        "–"
        if "left_out" in score
        else f"<b>{ratio(score['mean'])}</b> <small>{interval(score['interval'], 2)}</small>"
    )


def _mean_row(found: dict) -> list[str]:
    teacher, expert, human = (
        {"mean": found[s]["mean"], "interval": found[s]["mean_interval"]}
        if found[s]["tasks"]
        else {"left_out": ""}
        for s in SCALE_WORDS
    )
    jat, success = found["by_expert"]["jat"], found["success_rate"]
    rate = "–" if success is None else percent(success)
    return [
        "",
        rate,
        _scaled(teacher),
        _scaled(expert),
        "–" if jat is None else ratio(jat),
        _scaled(human),
        *[""] * 4,
    ]


def _cells(name: str, cells: list[str], labels: Sequence[str], kind: str = "task") -> str:
    columns = "".join(
        f'<td data-label="{label}">{cell}</td>' if cell else "<td></td>"
        for label, cell in zip(labels, cells, strict=True)
    )
    return f'<tr class="{kind}"><th scope="row">{name}</th>{columns}</tr>'


def _learning(results: dict, log: Sequence[dict]) -> str:
    figures = ""
    for domain, title, figure in _learning_figures(results, log):
        label = f"Line chart. Training loss of the {title} tasks against millions of timesteps trained on."
        figures += (
            f"<figure><h3>{escape(title)}</h3>{_svg(figure, f'learning-{domain}', label)}</figure>"
        )
    if not figures:
        return ""
    return f"""<section>
<h2>How it learnt</h2>
<p>Lines: training loss, averaged over neighbours. Dots: loss on episodes held out. A loss of discrete actions is a cross-entropy (nats), one of continuous actions a
squared error with the task's weight: compare a task with itself, not with others.</p>
<div class="pair">{figures}</div>
</section>"""


def _learning_figures(results: dict, log: Sequence[dict]) -> list[tuple]:
    """(domain, title, figure) for each domain that the log speaks of."""
    seen = {task: domain_of(task) for line in log for task in line["loss"]}
    order = [*results["domains"], *sorted(set(seen.values()) - set(results["domains"]))]
    return [
        (d, DOMAINS.get(d, d), plots.learning_figure(log, d, seen))
        for d in order
        if d in seen.values()
    ]


def _made(results: dict) -> str:
    rows = "".join(
        f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in made(results, DOMAINS)
    )
    return f"""<section>
<h2>How it was made</h2>
<pre>{escape(results["command"])}</pre>
<dl class="made">{rows}</dl>
</section>"""


def _write_figures(results: dict, log: Sequence[dict], folder: Path) -> None:
    for domain, found in results["domains"].items():
        tasks = {name: results["tasks"][name] for name in found["tasks"]}
        plots.to_png(
            plots.score_figure(tasks, _scales(found) or ["by_expert"], averages=found),
            folder / f"{domain}.png",
        )
    for domain, _, figure in _learning_figures(results, log):
        plots.to_png(figure, folder / f"learning-{domain}.png")
