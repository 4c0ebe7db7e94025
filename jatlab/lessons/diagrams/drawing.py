"""A few shapes in SVG: boxes, words, arrows and rows of cells, in the colours of the figures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from jatlab.viz.plots import AGENT, CYCLE, GRID, INK, JAT, MUTED, PAPER

BLUE, ORANGE, GREEN, PINK, GREY = AGENT, JAT, CYCLE[2], CYCLE[3], MUTED
PALE = {BLUE: "#dcebf5", ORANGE: "#fbe3d3", GREEN: "#d9efe7", PINK: "#f6e3ee", GREY: "#eeeff1"}
FONT = "system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif"
Point = tuple[float, float]


class Drawing:
    """An SVG of ``width`` by ``height`` pixels on white, with a text for those who cannot see it.

    Plain attributes and no style sheet: pages that show notebooks remove those.
    """

    def __init__(self, width: int, height: int, alt: str):
        self.width, self.height, self.alt = width, height, alt
        self.parts: list[str] = []

    def svg(self) -> str:
        """The file's text."""
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{self.width}" height="{self.height}" '
            f'viewBox="0 0 {self.width} {self.height}" role="img" font-family="{FONT}">'
            f"<title>{escape(self.alt)}</title>"
            f'<rect width="{self.width}" height="{self.height}" rx="6" fill="{PAPER}"/>'
        )
        return "\n".join([head, *self.parts, "</svg>"]) + "\n"

    def text(
        self,
        x: float,
        y: float,
        words: str,
        size: int = 13,
        colour: str = INK,
        anchor: str = "middle",
        bold: bool = False,
    ) -> None:
        """Words whose middle (or "start" or "end") stands at x; lines are parted by a newline.

        Args:
            x: Where ``anchor`` stands, in pixels.
            y: The middle of the words.
            words: One or more lines.
            size: Of the letters, in pixels.
            colour: Of the letters.
            anchor: "start", "middle" or "end".
            bold: Heavier letters.
        """
        lines = words.split("\n")
        top = y + size * 0.35 - (len(lines) - 1) * size * 0.62
        for row, line in enumerate(lines):
            weight = ' font-weight="600"' if bold else ""
            self.parts.append(
                f'<text x="{x:g}" y="{top + row * size * 1.24:.1f}" font-size="{size}" '
                f'fill="{colour}" text-anchor="{anchor}"{weight}>{escape(line)}</text>'
            )

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        words: str = "",
        colour: str = BLUE,
        size: int = 13,
        full: bool = False,
    ) -> None:
        """A rounded box with words in it.

        Args:
            x: Its left edge.
            y: Its upper edge.
            width: In pixels.
            height: In pixels.
            words: In its middle.
            colour: Of its edge; it is filled with a pale form of it.
            size: Of the letters.
            full: Filled with the colour itself, and white letters.
        """
        fill = colour if full else PALE[colour]
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" '
            f'fill="{fill}" stroke="{colour}"/>'
        )
        if words:
            ink = PAPER if full else INK
            self.text(x + width / 2, y + height / 2, words, size, ink)

    def cell(self, x: float, y: float, size: float, fill: str = PAPER, edge: str = GRID) -> None:
        """A small square."""
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{size:g}" height="{size:g}" '
            f'fill="{fill}" stroke="{edge}"/>'
        )

    def line(
        self, points: Sequence[Point], colour: str = GREY, head: bool = True, dashed: bool = False
    ) -> None:
        """A line through the points, with an arrow's head at its end."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        dashes = ' stroke-dasharray="4 4"' if dashed else ""
        self.parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"{dashes}/>'
        )
        if head:
            self._head(points[-2], points[-1], colour)

    def _head(self, start: Point, end: Point, colour: str) -> None:
        (x0, y0), (x1, y1) = start, end
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        back = (x1 - 9 * dx, y1 - 9 * dy)
        sides = [(back[0] - 4 * dy, back[1] + 4 * dx), (back[0] + 4 * dy, back[1] - 4 * dx)]
        corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in [(x1, y1), *sides])
        self.parts.append(f'<polygon points="{corners}" fill="{colour}"/>')

    def dot(self, x: float, y: float, colour: str = BLUE, radius: float = 5) -> None:
        """A filled circle."""
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="{radius:g}" fill="{colour}"/>')

    def tokens(self, x: float, y: float, names: Sequence[str], size: float = 38) -> list[float]:
        """A row of tokens, observations blue and all others orange; the middle of each."""
        middles = []
        for place, name in enumerate(names):
            left = x + place * (size + 6)
            colour = BLUE if name.startswith("o") else ORANGE
            self.box(left, y, size, size, name, colour)
            middles.append(left + size / 2)
        return middles
