"""Each lesson's diagram is a small, well-formed SVG whose words stand within its edges."""

import re
from xml.etree import ElementTree

import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from jatlab.lessons.diagrams import DIAGRAMS, diagram_of

SVG = "{http://www.w3.org/2000/svg}"
FONT = FontProperties(family="DejaVu Sans")  # the widest that a reader's machine may put in
MARGIN = 4  # pixels between words and the edges of their box
LETTER = 0.56  # the mean width of a letter, in parts of its size


def test_every_lesson_has_one():
    assert list(DIAGRAMS) == [f"{number:02d}" for number in range(14)]
    with pytest.raises(ValueError, match="lesson '14'"):
        diagram_of("14")


@pytest.mark.parametrize("lesson", DIAGRAMS)
def test_a_diagram_is_whole(lesson):
    drawn = diagram_of(lesson)
    text = drawn.svg()
    root = ElementTree.fromstring(text)
    assert len(text) < 30_000 and len(drawn.alt) > 60 and "<style" not in text
    assert root[0].text == drawn.alt
    for one in root.iter(f"{SVG}text"):
        assert_within(drawn, one)
    for points in re.findall(r'points="([^"]+)"', text):
        for point in points.split():
            x, y = map(float, point.split(","))
            assert 0 <= x <= drawn.width and 0 <= y <= drawn.height


@pytest.mark.parametrize("lesson", DIAGRAMS)
def test_words_fit_into_their_box(lesson):
    parts = list(ElementTree.fromstring(diagram_of(lesson).svg()))
    boxes = [part for part in parts if part.tag == f"{SVG}rect" and part.get("rx") == "5"]
    for words in (part for part in parts if part.tag == f"{SVG}text" and part.text):
        for box in boxes:
            if in_the_middle(words, box):
                wide = float(box.get("width")) - 2 * MARGIN
                assert drawn_width(words) <= wide, words.text


def in_the_middle(words, box):
    x, y, width, height = (float(box.get(name)) for name in ("x", "y", "width", "height"))
    middle = abs(float(words.get("x")) - x - width / 2) < 0.5
    return middle and y <= float(words.get("y")) <= y + height


def drawn_width(words):
    size = float(words.get("font-size"))
    return TextPath((0, 0), words.text, size=size, prop=FONT).get_extents().width


def assert_within(drawn, one):
    x, y, width = float(one.get("x")), float(one.get("y")), len(one.text or "") * LETTER
    width *= float(one.get("font-size"))
    left = x - width * {"start": 0, "middle": 0.5, "end": 1}[one.get("text-anchor")]
    assert left >= 0 and left + width <= drawn.width, one.text
    assert 8 <= y <= drawn.height - 2, one.text
