"""What Sphinx must know of our docstrings: they are read as plain text first, not as its markup.

In them code stands in single or double backticks, and an indented block after a blank line is
shown as it is written. reStructuredText has other rules for both. `process` translates, and links
the classes, functions and modules that are named.
"""

from __future__ import annotations

import inspect
import re

from scripts.docs.api import public_modules, public_names

CODE = re.compile(r"(?<![:`\w])(`{1,2})([^`\n]+)\1(?!`)")
SECTION = re.compile(r"\s*(Args|Returns|Raises|Yields|Attributes|Example|Examples|Note|Notes):\s*$")
LIST = re.compile(r"\s*([-*+]|\d+\.|\|) ")


def process(app, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    """Sphinx's hook: change the lines of one docstring in place."""
    module = getattr(obj, "__module__", None) or name
    lines[:] = translate(lines, str(module))


def process_signature(app, what: str, name: str, obj: object, options: object, *signature):
    """Sphinx's hook: a class is shown with the arguments of its own ``__init__``.

    torch and huggingface_hub give their classes another constructor, of ``*args, **kwargs``. And a
    default that a factory makes is shown as ``...``, which Sphinx can parse.
    """
    from sphinx.util.inspect import stringify_signature

    arguments, returned = signature
    own = vars(obj).get("__init__") if isinstance(obj, type) else None
    if what == "class" and own is not None and arguments == "(*args, **kwargs)":
        return stringify_signature(remove_self(inspect.signature(own))), None
    if arguments and "<factory>" in arguments:
        return arguments.replace("<factory>", "..."), returned
    return None


def remove_self(signature: inspect.Signature) -> inspect.Signature:
    """A method's signature as its caller sees it."""
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def translate(lines: list[str], module: str = "") -> list[str]:
    """A docstring's lines as reStructuredText."""
    done: list[str] = []
    literal: int | None = None  # the indentation of the paragraph before an indented block
    before = ""  # the last line that was not blank
    for line in _joined(lines):
        indent = len(line) - len(line.lstrip())
        if not line.strip():
            done.append(line)
            continue
        if literal is not None and indent <= literal:
            literal = None
        if literal is None and _begins_block(done, before, indent):
            literal = len(before) - len(before.lstrip())
            done += [" " * literal + ".. code-block:: text", ""]
        done.append(line if literal is not None else _inline(line, module))
        before = line
    return done


def _joined(lines: list[str]) -> list[str]:
    """The lines, with code that a line break cuts in two put on one line."""
    done: list[str] = []
    for line in lines:
        if done and done[-1].strip() and line.strip() and CODE.sub("", done[-1]).count("`") % 2:
            done[-1] = f"{done[-1].rstrip()} {line.strip()}"
        else:
            done.append(line)
    return done


def _begins_block(done: list[str], before: str, indent: int) -> bool:
    """Whether a line begins an indented block: four deeper, after a paragraph and a blank line."""
    after_blank = bool(done) and not done[-1].strip()
    deeper = indent >= len(before) - len(before.lstrip()) + 4
    marked = before.rstrip().endswith("::") or before.lstrip().startswith("..")
    return after_blank and deeper and not (marked or SECTION.match(before) or LIST.match(before))


def _inline(line: str, module: str) -> str:
    """A line with its code translated; `|x|` outside of code is kept from being a substitution."""
    parts, end = [], 0
    for match in CODE.finditer(line):
        parts += [_escape(line[end : match.start()]), _code(match[2], module)]
        end = match.end()
    return "".join([*parts, _escape(line[end:])])


def _escape(text: str) -> str:
    return re.sub(r"\|(\w+)\|", r"\\|\1\\|", text)


def _code(text: str, module: str) -> str:
    """Code in a docstring: a link where it names something public, else a literal."""
    target = resolve(text, module)
    if target:
        return f":py:obj:`{text} <{target}>`"
    return f"``{text}``"


def resolve(text: str, module: str) -> str | None:
    """The full name of the module, the class, or the function (written with `()`) that is named."""
    name = text.removesuffix("()")
    homes = public_names()
    if name in public_modules():
        return name
    if name.startswith("jatlab."):
        home, _, last = name.rpartition(".")
        return name if home in homes.get(last, ()) else None
    if not (name.isidentifier() and (text.endswith("()") or name[:1].isupper())):
        return None
    found = homes.get(name, ())
    home = module if module in found else found[0] if len(found) == 1 else None
    return home and f"{home}.{name}"
