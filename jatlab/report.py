"""The report of an evaluation: `report.html` (one file, no network, no script), `report.md` for a README, `report.json`.

Everything a page says comes from the results of `jatlab.evaluate`; the words about how it was made too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from jatlab.evaluation import Film, evaluate
from jatlab.files import write_json, write_text
from jatlab.report_text import comparison, interval, left_out, made, markdown, number, percent, plural, ratio, summary, versus
from jatlab.tasks import get_task
from jatlab.viz import plots
from jatlab.viz.video import caption, data_uri, film_strip, save_small_gif, save_video, write_png

STYLESHEET = Path(__file__).parent / "assets" / "report.css"
EMBED = 12_000_000  # bytes of video that a page holds itself; more stay beside it
DOMAINS = {"babyai": "BabyAI", "metaworld": "Meta-World", "mujoco": "MuJoCo", "atari": "Atari"}
SCALES = {"by_teacher": "of our teacher", "by_expert": "of the published expert"}


def evaluate_and_report(agent, tasks: str | Iterable[str], output: str | Path, log: str | Path | None = None, **options) -> dict:
    """`evaluate` (whose `options` it takes), with a film of each task's first episode; write the report into `output`, print
    a line for each domain (unless `progress=False`), and return the results.

    Played again into the same folder, tasks that are complete are not replayed. `log` is a `log.jsonl`, or the folder of the training run that wrote it.
    """
    videos, lines = Path(output) / "videos", read_lines(log)  # a log that is not there is said before an hour of play
    films: Callable[[str, Film | None], None] = lambda name, film: save_film(film, videos, name)
    results = evaluate(agent, tasks, output=output, films=True, on_task=films, **options)
    path = write_report(results, output, log=lines, videos=videos)
    if options.get("progress", True):
        print(f"{summary(results, DOMAINS)}\nreport: {path}")
    return results


def save_film(film: Film, folder: str | Path, name: str) -> Path:
    """Write `name`.mp4 (a small .gif without imageio-ffmpeg), `name`-strip.png and `name`-poster.png; return the video's path."""
    folder, captions = Path(folder), film.captions
    pictures = [caption(frame, c["mission"], c["step"], c["total"]) for frame, c in zip(film.frames, captions, strict=True)]
    write_png(film_strip(film.frames), folder / f"{name}-strip.png")
    write_png(pictures[0], folder / f"{name}-poster.png")
    fps = 12 if film.stride == 1 else 8
    try:
        return save_video(pictures, folder / f"{name}.mp4", fps)
    except ImportError:
        return save_small_gif(pictures, folder / f"{name}.gif", fps)


def write_report(results: dict, folder: str | Path, log: str | Path | Sequence[dict] | None = None, videos: str | Path | None = None) -> Path:
    """Write `report.html`, `report.md`, `report.json` and `figures/` into `folder`; return the path of the page.

    `results` come from `evaluate`, `log` from training (a `log.jsonl`, its folder, or its lines), `videos` is the folder that `save_film` wrote to.
    Raises `ValueError` for results without a task, `FileNotFoundError` for a log that is not there.
    """
    if not results.get("tasks"):
        raise ValueError("there is nothing to report: the results hold no task. Evaluate some first: jatlab evaluate AGENT --tasks babyai metaworld")
    folder, lines = Path(folder), read_lines(log)
    write_json(folder / "report.json", results)
    write_text(folder / "report.md", markdown(results, DOMAINS))
    _write_figures(results, lines, folder / "figures")
    return write_text(folder / "report.html", page(results, lines, None if videos is None else Path(videos)))


def read_lines(log: str | Path | Sequence[dict] | None) -> list[dict]:
    """The lines of a training log that hold losses."""
    if log is None:
        return []
    if isinstance(log, (str, Path)):
        from jatlab.training_log import read_log

        path = Path(log)
        path = path.parent if path.suffix == ".jsonl" else path
        if not (path / "log.jsonl").exists():
            raise FileNotFoundError(f"no log.jsonl in {path}: give the folder that `jatlab train` wrote to, or leave the log out")
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
{domains}
{_learning(results, log)}
{_made(results)}
</main>
</body>
</html>
"""


# --- the parts of the page ----------------------------------------------------------------------------------------------------


def _head(results: dict, name: str) -> str:
    parameters = results["agent"]["parameters"]
    size = f"{parameters:,} parameters, " if parameters else ""
    episodes = plural(results["settings"]["episodes"], "seeded episode")
    cards = "".join(_card(DOMAINS.get(domain, domain), found) for domain, found in results["domains"].items())
    return f"""<header>
<h1>How well {name} plays</h1>
<p class="lead">One agent, {size}{plural(len(results["tasks"]), "task")}, {episodes} of each, on seeds that no demonstration was recorded with.
0 is the random policy, 1 the reference; ranges are 95 % intervals.</p>
<div class="domains">{cards}</div>
</header>"""


def _card(title: str, found: dict) -> str:
    rows = "".join(_card_score(words, found[scale]) for scale, words in SCALES.items())
    if found["by_expert"]["jat"] is not None:
        rows += f'<dt>published JAT, same scale</dt><dd class="key">{ratio(found["by_expert"]["jat"])}</dd>'
    if found["by_human"]["mean"] is not None:
        rows += f"<dt>of human play</dt><dd>{ratio(found['by_human']['mean'])}</dd>"
    if found["success_rate"] is not None:
        rows += f"<dt>episodes that succeed</dt><dd>{percent(found['success_rate'])}</dd>"
    return f'<section class="card"><h3>{escape(title)} <span>{plural(len(found["tasks"]), "task")}</span></h3><dl>{rows}</dl></section>'


def _card_score(words: str, average: dict) -> str:
    if average["mean"] is None:
        return f"<dt>{words}</dt><dd>no score</dd>"
    ranges = f"{interval(average['mean_interval'], 2)} · IQM {ratio(average['iqm'])}, {interval(average['iqm_interval'], 2)}"
    return f'<dt>{words}</dt><dd class="big">{ratio(average["mean"])}</dd><dd class="range">{ranges}</dd>'


def _domain(results: dict, domain: str, videos: Path | None) -> str:
    title, found = DOMAINS.get(domain, domain), results["domains"][domain]
    tasks = {name: results["tasks"][name] for name in found["tasks"]}
    figures = "".join(_score_figure(title, tasks, found, scale) for scale in SCALES)
    return f"""<section>
<h2>{escape(title)}</h2>
<p>{escape(comparison(tasks, found))}</p>
<div class="pair">{figures}</div>
<p class="muted">Bars: mean return of a task; lines: its 95 % interval. <span class="key">◇ published JAT</span>, which its authors measured on the environments
of their day.</p>
{_table(tasks, found)}
{"".join(f"<p class='muted'>{escape(line)}</p>" for line in left_out(found))}
{_clips(tasks, videos)}
</section>"""


def _score_figure(title: str, tasks: dict, found: dict, scale: str) -> str:
    words = [f"{plots.short_name(name)} {versus(task[scale])}" for name, task in tasks.items()]
    label = f"Bar chart. Normalised returns of {title} as a share {SCALES[scale]}: {'; '.join(words)}."
    return f"<figure>{_svg(plots.score_figure(tasks, [scale], found), f'{title}-{scale}', label)}</figure>"


COLORS = {plots.INK: "ink", plots.MUTED: "muted", plots.GRID: "line", plots.AGENT: "agent", plots.TINT: "tint", plots.JAT: "jat"}


def _svg(figure, salt: str, label: str, colors: dict[str, str] = COLORS) -> str:
    """The figure in the page's own colours and letters, light or dark."""
    svg = plots.to_svg(figure, salt)
    for color, name in colors.items():
        svg = svg.replace(color, f"var(--{name})")
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)


COLUMNS = (
    "Return", "Success", "Of our teacher", "Of the published expert", "Published JAT, of the expert", "Random", "Our teacher", "Published expert", "Published JAT",
)  # fmt: skip


def _table(tasks: dict, found: dict) -> str:
    head = "".join(f'<th scope="col">{column}</th>' for column in ("Task", *COLUMNS))
    rows = "".join(_row(name, task) for name, task in tasks.items())
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}{_mean_row(found)}</tbody></table>"


def _row(name: str, task: dict) -> str:
    success, references = task["success"], task["references"]
    jat = "–" if task["jat_by_expert"] is None else ratio(task["jat_by_expert"])
    cells = [
        f"<b>{number(task['return']['mean'])}</b> <small>{interval(task['return']['interval'])}</small>",
        f"{percent(success['rate'])} <small>{interval([100 * x for x in success['interval']], 0)}</small>" if success else "–",
        *(_scaled(task[scale]) for scale in SCALES),
        jat,
        *(number(references[who]["mean"]) if references[who] else "–" for who in ("random", "teacher", "expert", "jat")),
    ]
    return _cells(escape(plots.short_name(name)), cells)


def _scaled(score: dict) -> str:
    return "–" if "left_out" in score else f"<b>{ratio(score['mean'])}</b> <small>{interval(score['interval'], 2)}</small>"


def _mean_row(found: dict) -> str:
    if len(found["tasks"]) < 2:
        return ""
    means = [{"mean": found[s]["mean"], "interval": found[s]["mean_interval"]} if found[s]["tasks"] else {"left_out": ""} for s in SCALES]
    jat, success = found["by_expert"]["jat"], found["success_rate"]
    cells = ["", "–" if success is None else percent(success), *map(_scaled, means), "–" if jat is None else ratio(jat), *[""] * 4]
    return _cells("mean of tasks", cells, "mean")


def _cells(name: str, cells: list[str], kind: str = "task") -> str:
    columns = "".join(f'<td data-label="{label}">{cell}</td>' if cell else "<td></td>" for label, cell in zip(COLUMNS, cells, strict=True))
    return f'<tr class="{kind}"><th scope="row">{name}</th>{columns}</tr>'


def _clips(tasks: dict, videos: Path | None) -> str:
    """A film strip and a video of each task's first episode; beside the page, where all of them together would be too much for it."""
    if videos is None:
        return ""
    files = {name: path for name in tasks for suffix in (".mp4", ".gif") if (path := videos / f"{name}{suffix}").exists()}
    embed = sum(path.stat().st_size for path in videos.glob("*.*")) <= EMBED
    return "".join(_clip(name, tasks[name], path, embed) for name, path in files.items())


def _clip(name: str, task: dict, path: Path, embed: bool) -> str:
    mission = f", told “{task['missions'][0]}”" if task["missions"][0] else ""
    outcome = {True: ", success", False: ", no success", None: ""}[task["successes"][0]]
    words = f"seed {task['seeds'][0]:,}{mission}: return {number(task['returns'][0])} in {plural(task['lengths'][0], 'step')}{outcome}"
    strip = f'<img class="strip" src="{data_uri(path.with_name(f"{name}-strip.png"))}" alt="{escape(f"Moments of {name}, {words}, from start to end.")}">'
    source = data_uri(path) if embed else f"{path.parent.name}/{path.name}"
    moving = f'<img class="moving" src="{source}" alt="{escape(f"Animation of {name}, {words}.")}">'
    if path.suffix == ".mp4":
        poster = data_uri(path.with_name(f"{name}-poster.png"))
        label = escape(f"Video of {name}, {words}.")
        moving = f'<video controls muted loop playsinline preload="metadata" poster="{poster}" aria-label="{label}" src="{source}"></video>'
    text = f"<figcaption><b>{escape(plots.short_name(name))}</b>, the first episode: {escape(words)}.</figcaption>"
    return f'<figure class="clip">{moving}<div>{text}{strip}</div></figure>'


def _learning(results: dict, log: Sequence[dict]) -> str:
    figures = ""
    for domain, title, figure in _learning_figures(results, log):
        label = f"Line chart. Training loss of the {title} tasks against millions of timesteps trained on."
        figures += f"<figure><h3>{escape(title)}</h3>{_svg(figure, f'learning-{domain}', label)}</figure>"
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
    seen = {task: get_task(task).domain for line in log for task in line["loss"]}
    order = [*results["domains"], *sorted(set(seen.values()) - set(results["domains"]))]
    return [(d, DOMAINS.get(d, d), plots.learning_figure(log, d, seen)) for d in order if d in seen.values()]


def _made(results: dict) -> str:
    rows = "".join(f"<dt>{escape(term)}</dt><dd>{escape(words)}</dd>" for term, words in made(results, DOMAINS))
    return f"""<section>
<h2>How it was made</h2>
<pre>{escape(results["command"])}</pre>
<dl class="made">{rows}</dl>
</section>"""


def _write_figures(results: dict, log: Sequence[dict], folder: Path) -> None:
    for domain, found in results["domains"].items():
        tasks = {name: results["tasks"][name] for name in found["tasks"]}
        plots.to_png(plots.score_figure(tasks, averages=found), folder / f"{domain}.png")
    for domain, _, figure in _learning_figures(results, log):
        plots.to_png(figure, folder / f"learning-{domain}.png")
