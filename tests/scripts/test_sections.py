"""What a section needs is read off its code, and stands under its heading."""

import pytest

from scripts import sections
from scripts.sections import names_of, needs, stamped, told


def notebook(*cells):
    kinds = {True: "markdown", False: "code"}
    return {"cells": [{"cell_type": kinds[c.startswith("## ")], "source": c} for c in cells]}


LESSON = notebook(
    "import numpy as np",
    "## 1 · Data",
    "data = np.arange(3)",
    "## 2 · A rest",
    "for data_point in [1, 2]:\n    print(np, data_point)",
    "## 3 · A model",
    "def model(x):\n    return x + data",
    "## 4 · At work",
    "out = model(2)",
)


def test_a_section_needs_what_its_needs_need():
    assert needs(LESSON, "99") == {0: set(), 1: {0}, 2: {0}, 3: {0, 1}, 4: {0, 1, 3}}


def test_what_has_no_name_is_told(monkeypatch):
    monkeypatch.setitem(sections.UNNAMED, "99", {2: {1}})
    assert needs(LESSON, "99")[2] == {0, 1}


@pytest.mark.parametrize(
    ("code", "uses", "defines"),
    [
        ("a = b", {"b"}, {"a"}),
        ("a = a + 1", {"a"}, {"a"}),
        ("a = 1\nb = a", set(), {"a", "b"}),
        ("with style() as s:\n    a = s\n    print(a)", {"style", "print"}, {"s", "a"}),
        ("for i in n:\n    t = i\nelse:\n    t", {"n"}, {"i", "t"}),
        ("[x for x in y]", {"y"}, set()),
        ("def f(x, y=d):\n    z = x\n    return z + g", {"d", "g"}, {"f"}),
        ("import a.b as c", set(), {"c"}),
        ("if c:\n    %pip install x\na = 1", {"c"}, {"a"}),
    ],
)
def test_names_of_a_cell(code, uses, defines):
    assert names_of(code) == (uses, defines)


def test_the_line_is_written_once_and_kept_up_to_date():
    text = "Some text.\n\n## 4 · At work\n\nMore."
    needed = needs(LESSON, "99")
    once = stamped(text, needed)
    line = "*Run first: the cells above section 1, and sections 1 and 3.*"
    assert once == f"Some text.\n\n## 4 · At work\n\n{line}\n\nMore."
    assert stamped(once, needed) == once
    assert stamped(once.replace("1 and 3", "2"), needed) == once


def test_in_words():
    assert told({0}) == "the cells above section 1"
    assert told({0, 2}) == "the cells above section 1, and section 2"
