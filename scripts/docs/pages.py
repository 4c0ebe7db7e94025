"""The pages of the site that are made from the code, written before Sphinx reads its sources.

They are the lessons (copies of the notebooks, and their table), the reference of the command line
(from its parser), the reference of the API (a page per module, filled by autodoc), the table of
costs, and the picture of the package's structure. `docs/.gitignore` lists them: none is committed
but the picture. A file whose text is the same as before is left alone, so that Sphinx need not
read it again.
"""

from __future__ import annotations

import argparse
import ast
import re
import shutil
from pathlib import Path

from scripts import structure
from scripts.badges import BRANCH, homepage, repository, table
from scripts.lessons import NOTEBOOKS, lessons

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "jatlab"
REPOSITORY = homepage() + "/"
SITE = "https://{}.github.io/{}/".format(*repository(homepage()).split("/"))
# the exercises' checks and solutions, and the module behind `python -m jatlab`
WITHOUT_PAGE = re.compile(r"jatlab\.lessons\.lesson\d\d|jatlab\.__main__")

__all__ = ["BRANCH", "REPOSITORY", "ROOT", "SITE", "write_all"]


def write_all(docs: Path) -> None:
    """Write every generated page below ``docs``, the folder of Sphinx's sources."""
    for notebook in NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"):
        _copy(notebook, docs / "lessons" / notebook.name)
    _write(docs / "_generated" / "lessons.md", table(lessons(), homepage(), ""))
    _write(docs / "_generated" / "commands.md", commands())
    _write(docs / "_generated" / "cost.md", cost())
    _write(docs / "design" / "structure.svg", structure.drawing())
    wanted = {f"{name}.rst": page for name, page in api_pages().items()}
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
    usage = parser.format_usage().removeprefix("usage: ").rstrip()
    usage = re.sub(r"\n\s+", "\n    ", usage)
    arguments = [_argument(action, parser) for action in parser._actions if action.dest != "help"]
    return "\n\n".join(
        [f"## jatlab {name}", _sentence(about), f"```text\n{usage}\n```", *arguments]
    )


def _argument(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """One argument in a definition list: how it is written, what it does, its default."""
    formatter = parser._get_formatter()
    written = formatter._format_action_invocation(action)
    about = _sentence((action.help or "").replace("%(default)s", str(action.default)).strip())
    default = action.default
    if default not in (None, argparse.SUPPRESS, False, []) and "default" not in about.lower():
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


# --- the API


def api_pages() -> dict[str, str]:
    """A page in reStructuredText for every public package and module: {dotted name: text}."""
    return {name: _api_page(name, path) for name, path in public_modules().items()}


def public_modules() -> dict[str, Path]:
    """Every public module of the package and its file, in alphabetical order, packages included."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        hidden = any(part.startswith("_") for part in name.split(".")[1:])
        if not hidden and not WITHOUT_PAGE.fullmatch(name):
            found[name] = path
    return dict(sorted(found.items()))


def _api_page(name: str, path: Path) -> str:
    title = f"{name}\n{'=' * len(name)}"
    parts = [title, f".. automodule:: {name}"]
    if name == "jatlab":
        parts.append("   :no-members:")
    if exported := reexports(name, path):
        links = ", ".join(
            f":py:obj:`{short} <{home}.{short}>`" for short, home in sorted(exported.items())
        )
        parts.append(f"Names that can be imported from here: {links}.")
    if path.name == "__init__.py":
        parts.append(_contents(name))
    return "\n\n".join(part for part in parts if part)


def _contents(package: str) -> str:
    """The modules right below a package, each with the first sentence of its docstring."""
    below = {
        name: path for name, path in public_modules().items() if name.rpartition(".")[0] == package
    }
    if not below:
        return ""
    entries = "\n".join(f"* :doc:`{name}`: {summary(path)}" for name, path in below.items())
    tree = "\n".join(f"   {name}" for name in below)
    return f"{entries}\n\n.. toctree::\n   :hidden:\n\n{tree}"


def summary(path: Path) -> str:
    """The first sentence of a module's docstring, for reStructuredText."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    first = re.sub(r"\s+", " ", text.split("\n\n")[0]).strip()
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", first)


def reexports(package: str, path: Path) -> dict[str, str]:
    """Public names that a package's ``__init__`` takes from its modules: {name: module}."""
    if path.name != "__init__.py":
        return {}
    if package == "jatlab":
        import jatlab

        return {name: home_of(name, home) for name, home in jatlab._HOME.items()}
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {
        alias.name: home_of(alias.name, node.module)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package + ".")
        for alias in node.names
        if not alias.name.startswith("_")
    }


def home_of(name: str, module: str) -> str:
    """The module in which an importable name is defined."""
    from importlib import import_module

    return getattr(getattr(import_module(module), name), "__module__", module)


# --- costs


def cost() -> str:
    """What `jatlab cost` says of the published training on one device, as Markdown."""
    from jatlab.experiments.benchmarks.cost_report import report

    text = report("paper", 250_000, device="H100 SXM")
    return re.sub(r"^# (.*)$", r"## \1", text, flags=re.MULTILINE)
