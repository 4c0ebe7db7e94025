"""What every lesson uses: the switch that shortens costly loops, and figures with a caption."""

from __future__ import annotations

import base64
import html
import io
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHORT = os.environ.get("JATLAB_SHORT", "") not in ("", "0")  # set under test: cut costly loops


def show(figure: Figure, caption: str = "", alt: str = "", dpi: int = 90) -> None:
    """Display a Matplotlib figure as a PNG with its caption beneath, and close it.

    Outside a notebook nothing is displayed, and the figure is closed all the same.

    Args:
        figure: The figure, drawn.
        caption: What to see in it. Default: ``figure.caption``, which jatlab's views set.
        alt: A text for readers who cannot see the picture. Default: ``figure.alt``, or the
            caption.
        dpi: Pixels per inch.
    """
    import matplotlib.pyplot as plt

    caption = caption or getattr(figure, "caption", "")
    alt = alt or getattr(figure, "alt", "") or caption
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    show_picture(picture.getvalue(), caption, alt)


def show_picture(data: bytes, caption: str = "", alt: str = "") -> None:
    """Display a PNG or GIF, given as bytes, with its caption beneath.

    Without IPython nothing is displayed.
    """
    try:
        from IPython.display import Markdown, display
    except ImportError:
        return
    text = alt or caption
    if data[:3] == b"GIF":  # nbconvert shows none that is not in HTML
        source = f"data:image/gif;base64,{base64.b64encode(data).decode()}"
        shown = f'<img src="{source}" alt="{html.escape(text)}">'
        display({"text/html": shown, "text/plain": text}, raw=True)
    else:
        looks = {"image/png": {"alt": text}}
        display({"image/png": data, "text/plain": text}, raw=True, metadata=looks)
    if caption:
        display(Markdown(f"*{caption}*"))


def diagram(lesson: str) -> None:
    """Display the diagram that opens a lesson, "00" to "13", as SVG.

    Without IPython nothing is displayed.

    Raises:
        ValueError: There is no such lesson.
    """
    from jatlab.lessons.diagrams import diagram_of

    drawn = diagram_of(lesson)
    try:
        from IPython.display import display
    except ImportError:
        return
    kind = "image/svg+xml"
    data = {kind: drawn.svg(), "text/plain": drawn.alt}
    display(data, raw=True, metadata={kind: {"alt": drawn.alt}})
