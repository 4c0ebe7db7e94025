"""What each section of a lesson needs: the line under its heading, which `make badges` writes.

A reader who restarts the kernel and wants one section alone runs what the line names. A section
needs another if it uses a name that the other has defined, directly or through a third one; what
has no name, such as a task that is registered, stands in `UNNAMED`.
"""

import ast
import re
import symtable
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from scripts.lessons import source

HEADING = re.compile(r"^(## (\d+) · [^\n]*)(?:\n\n\*Run first: [^\n]*\*(?=\n|\Z))?", re.MULTILINE)
# lesson -> section -> sections that it needs although it uses none of their names
UNNAMED: dict[str, dict[int, set[int]]] = {"12": {4: {3}, 5: {3, 4}}}


@dataclass
class Section:
    """One numbered section; 0 is all that stands before the first."""

    number: int
    defines: set[str] = field(default_factory=set)
    uses: set[str] = field(default_factory=set)  # of what it has not defined before


def stamped(text: str, needed: dict[int, set[int]]) -> str:
    """A text cell with what its section needs, as `needs` found it, under the heading."""
    return HEADING.sub(lambda m: f"{m[1]}\n\n*Run first: {told(needed[int(m[2])])}.*", text)


def told(numbers: set[int]) -> str:
    """The cells to run before a section, in words."""
    names = list(map(str, sorted(numbers - {0})))
    if not names:
        return "the cells above section 1"
    *others, last = names
    sections = f"sections {', '.join(others)} and {last}" if others else f"section {last}"
    return f"the cells above section 1, and {sections}"


def needs(notebook: dict[str, Any], number: str) -> dict[int, set[int]]:
    """For each section the earlier ones that it needs, directly or not."""
    found: dict[int, set[int]] = {}
    origin: dict[str, int] = {}  # the section that a name comes from
    for section in sections(notebook):
        direct = {origin[name] for name in section.uses if name in origin}
        direct |= UNNAMED.get(number, {}).get(section.number, set())
        found[section.number] = direct.union(*(found[one] for one in direct))
        # what the set-up has defined stays there, whatever is imported once more
        origin |= {name: section.number for name in section.defines if origin.get(name) != 0}
    return found


def sections(notebook: dict[str, Any]) -> list[Section]:
    """The sections in order, with the names that they define and use."""
    found = [Section(0)]
    for cell in notebook["cells"]:
        if cell["cell_type"] == "markdown":
            found += [Section(int(match[2])) for match in HEADING.finditer(source(cell))]
        else:
            uses, defines = names_of(source(cell))
            found[-1].uses |= uses - found[-1].defines
            found[-1].defines |= defines
    return found


def names_of(code: str) -> tuple[set[str], set[str]]:
    """The names that a cell uses before it defines them, and those that it defines."""
    code = re.sub(r"^(\s*)%.*$", r"\1pass", code, flags=re.MULTILINE)
    uses: set[str] = set()
    defines: set[str] = set()
    for statement in _in_order(ast.parse(code).body):
        plain = ast.unparse(ast.fix_missing_locations(_OwnScopes().visit(statement)))
        table = symtable.symtable(plain, "cell", "exec")
        uses |= _globals_of(table) - defines
        defines |= {one.get_name() for one in table.get_symbols() if _is_defined(one)}
    return uses, defines


class _OwnScopes(ast.NodeTransformer):
    """Comprehensions as generators: from Python 3.12 on, only those have a scope of their own."""

    def visit_ListComp(self, node: ast.ListComp | ast.SetComp) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return ast.GeneratorExp(node.elt, node.generators)

    visit_SetComp = visit_ListComp  # noqa: N815

    def visit_DictComp(self, node: ast.DictComp) -> ast.AST:  # noqa: N802
        self.generic_visit(node)
        return ast.GeneratorExp(ast.Tuple([node.key, node.value], ast.Load()), node.generators)


def _in_order(statements: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """Statements one by one; of loops, conditions and `with` first the head, then the body."""
    for statement in statements:
        if isinstance(statement, ast.For | ast.While | ast.If | ast.With):
            body, orelse = statement.body, getattr(statement, "orelse", [])
            statement.body = [ast.Pass()]
            if orelse:
                statement.orelse = []  # type: ignore[union-attr]
            yield statement
            yield from _in_order([*body, *orelse])
        else:
            yield statement


def _is_defined(symbol: symtable.Symbol) -> bool:
    return symbol.is_assigned() or symbol.is_imported()


def _globals_of(table: symtable.SymbolTable) -> set[str]:
    """Names that a statement looks up among the notebook's, in functions as well."""
    is_module = table.get_type() == "module"
    names = {
        one.get_name()
        for one in table.get_symbols()
        if one.is_referenced() and (is_module or one.is_global())
    }
    return names.union(*map(_globals_of, table.get_children()))
