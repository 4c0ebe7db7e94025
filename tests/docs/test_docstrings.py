"""Docstrings become what Sphinx can read: code, links and indented blocks."""

from scripts.docs.docstrings import resolve, translate


def test_code_in_backticks_is_literal():
    assert translate(["Takes `steps` and ``batch``."]) == ["Takes ``steps`` and ``batch``."]


def test_public_names_become_links():
    wanted = "A :py:obj:`JatModel <jatlab.model.jat.JatModel>`."
    assert translate(["A `JatModel`."]) == [wanted]
    assert resolve("jatlab.data.windows", "") == "jatlab.data.windows"
    assert resolve("load_agent()", "") == "jatlab.agents.checkpoints.load_agent"
    assert resolve("load_agent", "") is None and resolve("nothing()", "") is None


def test_code_cut_by_a_line_break_is_joined():
    assert translate(["Run `make", "docs` now."]) == ["Run ``make docs`` now."]


def test_an_indented_block_is_shown_as_written():
    lines = ["The layout:", "", "    <root>/a `b`", "    <root>/c", "", "After."]
    shown = translate(lines)
    assert shown[2:5] == [".. code-block:: text", "", "    <root>/a `b`"]
    assert shown[-1] == "After."


def test_sections_of_arguments_stay():
    lines = ["Does it.", "", "Args:", "    steps: how many `steps`.", "        At most ten."]
    assert translate(lines)[2:4] == ["Args:", "    steps: how many ``steps``."]
    assert translate(lines)[4].strip() == "At most ten."


def test_absolute_values_are_no_substitutions():
    assert translate(["sign(x) ln(1 + |x|)"]) == ["sign(x) ln(1 + \\|x\\|)"]
