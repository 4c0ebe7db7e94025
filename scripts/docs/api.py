"""The reference of the API: a page for every public module, which autodoc fills.

What a page lists is read from the module's file: public classes and functions in their order, then
public constants with the comment that stands beside or above them. Fields that a class describes
under ``Attributes:`` are left out of its members, where they would stand a second time.
"""

from __future__ import annotations

import ast
import re
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import indent

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "jatlab"
# the exercises' checks and solutions, and the module behind `python -m jatlab`
WITHOUT_PAGE = re.compile(r"jatlab\.lessons\.lesson\d\d\w*|jatlab\.__main__")
STAR = re.compile(r"\*(?=(?:[^`]*`[^`]*`)*[^`]*$)")  # outside of code, where it is no emphasis
LONGEST_VALUE = 72  # characters of a constant's value that are shown


@cache
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


@cache
def public_names() -> dict[str, tuple[str, ...]]:
    """Public classes and functions and the modules that define them: {name: modules}."""
    found: dict[str, tuple[str, ...]] = {}
    for module, path in public_modules().items():
        for node in definitions(parse(path)):
            found[node.name] = (*found.get(node.name, ()), module)
    return found


def parse(path: Path) -> ast.Module:
    """A module's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"))


def definitions(module: ast.Module) -> list[ast.ClassDef | ast.FunctionDef]:
    """A module's public classes and functions, in their order."""
    return [
        node
        for node in _top_level(module.body)
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and not node.name.startswith("_")
    ]


def _top_level(body: list[ast.stmt]) -> list[ast.stmt]:
    """The statements of a module, those inside of ``if`` and ``try`` included."""
    found: list[ast.stmt] = []
    for node in body:
        found.append(node)
        if isinstance(node, (ast.If, ast.Try)):
            found += _top_level([*node.body, *node.orelse])
    return found


def pages() -> dict[str, str]:
    """The pages of all public modules: {dotted name: text}."""
    return {name: page(name, path) for name, path in public_modules().items()}


def page(name: str, path: Path) -> str:
    """One module's page: its docstring, what it defines, and what lies below a package."""
    module, lines = parse(path), path.read_text(encoding="utf-8").splitlines()
    title = "The Python API" if name == "jatlab" else name
    parts = [
        f"{title}\n{'=' * len(title)}",
        f".. automodule:: {name}\n   :no-members:",
        _reexports(name, path),
        _contents(name) if path.name == "__init__.py" else "",
        f".. py:currentmodule:: {name}",
        *(_definition(node, lines, name) for node in definitions(module)),
        _constants(module, lines, name),
    ]
    return "\n\n".join(part for part in parts if part)


def _definition(node: ast.ClassDef | ast.FunctionDef, lines: list[str], module: str) -> str:
    """A function or a class; a class with its fields and what the comments beside them say."""
    if isinstance(node, ast.FunctionDef):
        return f".. autofunction:: {node.name}"
    described = described_attributes(ast.get_docstring(node) or "")
    fields = [
        field
        for field in node.body
        if isinstance(field, ast.AnnAssign) and set(_assigned(field)).difference(described)
    ]
    left_out = ", ".join([*described, *(name for field in fields for name in _assigned(field))])
    parts = [
        f".. autoclass:: {node.name}" + (f"\n   :exclude-members: {left_out}" * bool(left_out))
    ]
    parts += [indent(_field(field, lines, module), "   ") for field in fields]
    return "\n\n".join(parts)


def _field(node: ast.AnnAssign, lines: list[str], module: str) -> str:
    return _datum("attribute", _assigned(node)[0], node, lines, module)


def described_attributes(docstring: str) -> list[str]:
    """The names that stand under ``Attributes:`` of a class's docstring."""
    match = re.search(r"^Attributes:\n((?:[ \t]+.*\n?|\n)+)", docstring, re.MULTILINE)
    if not match:
        return []
    depth = len(match[1]) - len(match[1].lstrip())
    return re.findall(rf"^ {{{depth}}}(\w+)(?: \([^)]*\))?:", match[1], re.MULTILINE)


def source_place(module: str, name: str) -> str | None:
    """Where a name is defined, as "jatlab/model/jat.py#L64-L120"; None if its file cannot tell."""
    path = public_modules().get(module)
    if path is None:
        return None
    body, node = parse(path).body, None
    for part in name.split("."):
        named = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
        found = [one for one in _top_level(body) if isinstance(one, named) and one.name == part]
        if not found:
            return None
        node = found[0]
        body = node.body
    lines = f"#L{node.lineno}-L{node.end_lineno}" if node else ""
    return f"{path.relative_to(ROOT).as_posix()}{lines}"


# --- constants


def _constants(module: ast.Module, lines: list[str], name: str) -> str:
    """The public constants of a module, with their values and what a comment says of them."""
    entries = [
        _datum("data", constant, node, lines, name)
        for node in module.body
        for constant in _assigned(node)
    ]
    return "\n\n".join([".. rubric:: Constants", *entries]) if entries else ""


def _datum(kind: str, name: str, node: ast.stmt, lines: list[str], module: str) -> str:
    """A constant or a field: its type, its value if that is short, and its comment."""
    from scripts.docs.docstrings import translate

    entry = [f".. py:{kind}:: {name}"]
    if isinstance(node, ast.AnnAssign):
        entry.append(f"   :type: {ast.unparse(node.annotation)}")
    value = ast.unparse(node.value) if node.value else ""
    if value and len(value) <= LONGEST_VALUE:
        entry.append(f"   :value: {value}")
    about = translate([STAR.sub(r"\*", comment(node, lines))], module)
    return "\n".join([*entry, "", *(f"   {line}" for line in about)]).rstrip()


def _assigned(node: ast.stmt) -> list[str]:
    """The public names that a statement binds to a constant; none for other statements."""
    if isinstance(node, ast.Assign):
        targets = node.targets
    elif isinstance(node, ast.AnnAssign):
        targets = [node.target]
    else:
        return []
    names = [target.id for target in targets if isinstance(target, ast.Name)]
    names += [
        one.id
        for target in targets
        if isinstance(target, ast.Tuple)
        for one in target.elts
        if isinstance(one, ast.Name)
    ]
    return [name for name in names if not name.startswith("_")]


def comment(node: ast.stmt, lines: list[str]) -> str:
    """The comment on a statement's first line, or in the lines above it; "" without one."""
    first = lines[node.lineno - 1]
    if "  # " in first:
        return _sentence(first.split("  # ", 1)[1])
    above: list[str] = []
    for line in reversed(lines[: node.lineno - 1]):
        if not line.lstrip().startswith("# ") or line.lstrip().startswith("# ---"):
            break
        above.insert(0, line.lstrip()[2:])
    return _sentence(" ".join(above))


def _sentence(text: str) -> str:
    text = text.strip()
    if not text or text.startswith(("fmt:", "type:", "noqa")):
        return ""
    return text[0].upper() + text[1:] + ("" if text[-1] in ".:?!" else ".")


# --- packages


def _reexports(name: str, path: Path) -> str:
    """A sentence that links the names which a package's ``__init__`` takes from its modules."""
    found = reexports(name, path)
    links = ", ".join(f":py:obj:`{one} <{home}.{one}>`" for one, home in sorted(found.items()))
    return f"Names that can be imported from here: {links}." if links else ""


def reexports(package: str, path: Path) -> dict[str, str]:
    """Public names that a package's ``__init__`` takes from its modules: {name: module}."""
    if path.name != "__init__.py":
        return {}
    if package == "jatlab":
        import jatlab

        return {name: home_of(name, home) for name, home in jatlab._HOME.items()}
    return {
        alias.name: home_of(alias.name, node.module or "")
        for node in parse(path).body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(package + ".")
        for alias in node.names
        if not alias.name.startswith("_")
    }


def home_of(name: str, module: str) -> str:
    """The module in which an importable name is defined."""
    return str(getattr(getattr(import_module(module), name), "__module__", module))


def _contents(package: str) -> str:
    """The modules right below a package, each with the first sentence of its docstring."""
    below = [name for name in public_modules() if name.rpartition(".")[0] == package]
    if not below:
        return ""
    entries = "\n".join(f"* :doc:`{name}`: {summary(public_modules()[name])}" for name in below)
    tree = "\n".join(f"   {name.rpartition('.')[2]} <{name}>" for name in below)
    return f"{entries}\n\n.. toctree::\n   :hidden:\n\n{tree}"


def summary(path: Path) -> str:
    """The first sentence of a module's docstring, for reStructuredText."""
    text = ast.get_docstring(parse(path)) or ""
    first = re.sub(r"\s+", " ", text.split("\n\n")[0]).strip()
    return re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", first)
