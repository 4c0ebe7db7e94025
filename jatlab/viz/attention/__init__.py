"""Views of attention: over one decision's past, as a film strip, as a heat map, head by head.

All weights are those of the very pass that acted (`rollout(..., record_attention=True)`); nothing
here runs a model.
"""

from jatlab.viz.attention.bertviz_view import bertviz_frame
from jatlab.viz.attention.decision import attention_strip, attention_timeline
from jatlab.viz.attention.heads import distance_and_entropy, head_summary
from jatlab.viz.attention.heatmap import attention_heatmap
from jatlab.viz.attention.weights import by_timestep, reduce_heads

__all__ = [
    "attention_heatmap",
    "attention_strip",
    "attention_timeline",
    "bertviz_frame",
    "by_timestep",
    "distance_and_entropy",
    "head_summary",
    "reduce_heads",
]
