"""The head view of bertviz in a frame."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.display import HTML

TOKEN_PIXELS, OTHER_PIXELS = 23, 150  # the heights of a token, and of all else
FRAME_TITLE = "bertviz: lines of attention between tokens"
# seen where the frame is not, as on GitHub
FRAME_CAPTION = "Lines of attention between tokens, which bertviz draws where scripts may run."
FRAME_HEAD = """<style>body {font-family: sans-serif; font-size: 13px}</style>
<p id="words">Point at a token to see its lines alone.</p>
<script>window.onerror = () => {
  document.getElementById("words").innerText = "bertviz's scripts could not be loaded from their \
content network: without it these lines cannot be drawn.";
  return true;  // told; the page around need not hear of it
}</script>"""


def bertviz_frame(arguments: dict[str, Any], height: int | None = None) -> HTML:
    """A frame around the head view of bertviz, to be a cell's last line.

    Use it as `bertviz_frame(agent.attention_for_bertviz(episode))`. The frame's scripts come from a
    content network; without one the frame says so, and the page around it is not disturbed.

    Args:
        arguments: What `bertviz.head_view` takes.
        height: Of the frame, in pixels; as high as the tokens need unless given.

    Raises:
        ImportError: bertviz is not installed.
    """
    from IPython.display import HTML

    try:
        from bertviz import head_view
    except ImportError as error:
        raise ImportError(
            'this view needs bertviz: pip install "jatlab[bertviz]". '
            "attention_heatmap shows the same without it"
        ) from error
    page = html.escape(FRAME_HEAD + head_view(**arguments, html_action="return").data)
    if height is None:
        height = TOKEN_PIXELS * len(arguments["tokens"]) + OTHER_PIXELS
    return HTML(
        f'<div><iframe title="{FRAME_TITLE}" srcdoc="{page}" width="100%" height="{height}" '
        f'style="border: 0; background: white"></iframe><p>{FRAME_CAPTION}</p></div>'
    )
