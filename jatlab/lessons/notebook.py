"""What every lesson uses: the switch that shortens costly loops, and figures with a caption."""

from __future__ import annotations

import io
import os

SHORT = os.environ.get("JATLAB_SHORT", "") not in (
    "",
    "0",
)  # set under test; costly loops are then cut short


def show(figure, caption: str = "", alt: str = "", dpi: int = 90) -> None:
    """Display a Matplotlib figure as a PNG with its caption beneath, and close it.

    ``caption`` and ``alt`` (the text for those who cannot see the picture) default to what the view
    that drew it says (``figure.caption``, ``figure.alt``). Outside a notebook nothing is displayed,
    and the figure is closed all the same.
    """
    import matplotlib.pyplot as plt

    caption = caption or getattr(figure, "caption", "")
    alt = alt or getattr(figure, "alt", "") or caption
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi, bbox_inches="tight", facecolor="white")
    plt.close(figure)
    show_picture(picture.getvalue(), caption, alt)


def show_picture(data: bytes, caption: str = "", alt: str = "") -> None:
    """Display a PNG or GIF, given as bytes, with its caption beneath. Without IPython nothing is
    displayed.
    """
    try:
        from IPython.display import Markdown, display
    except ImportError:
        return
    kind = "image/gif" if data[:3] == b"GIF" else "image/png"
    display(
        {kind: data, "text/plain": alt or caption},
        raw=True,
        metadata={kind: {"alt": alt or caption}},
    )
    if caption:
        display(Markdown(f"*{caption}*"))
