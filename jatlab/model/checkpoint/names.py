"""The published checkpoint's names for our parameters.

`official_name` renames one of ours. The text table has one name here; the checkpoint may list it
under any of `TABLE_NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_RENAMES = (
    (r"^text_embedding\.", "transformer.wte."),
    (r"^trunk\.positions\.", "transformer.wpe."),
    (r"^trunk\.norm\.", "transformer.ln_f."),
    (r"^trunk\.blocks\.(\d+)\.", r"transformer.h.\1."),
    (r"\.attention_norm\.", ".ln_1."),
    (r"\.mlp_norm\.", ".ln_2."),
    (
        r"(h\.\d+)\.attention\.(query|key|value|output)\.",
        lambda m: f"{m[1]}.attn.attention.{_PROJECTIONS[m[2]]}.",
    ),
    (r"(h\.\d+)\.mlp\.up\.", r"\1.mlp.c_fc."),
    (r"(h\.\d+)\.mlp\.down\.", r"\1.mlp.c_proj."),
    (r"^patch_encoder\.", "vit_encoder."),
    (r"^continuous_encoder\.linear\.", "continuous_encoder."),
    (r"^discrete_encoder\.project\.", "multi_discrete_encoder.1."),
    (r"^discrete_encoder\.mix\.", "multi_discrete_encoder.4."),
    (r"^image_(en|de)coder\.linear\.", r"image_\1coder.module.fc."),
    (
        r"^image_encoder\.convolutions\.(\d)\.",
        lambda m: f"image_encoder.module.conv{int(m[1]) + 1}.",
    ),
    (
        r"^image_decoder\.convolutions\.(\d)\.",
        lambda m: f"image_decoder.module.deconv{int(m[1]) + 1}.",
    ),
    (
        r"^image_(en|de)coder\.gates\.(\d)\.",
        lambda m: f"image_{m[1]}coder.module.att{int(m[2]) + 1}.",
    ),
    (r"\.squeeze\.", ".fc.0."),
    (r"\.excite\.", ".fc.2."),
    (r"^token_decoder\.", "single_discrete_decoder."),
    (r"^discrete_decoder\.expand\.", "multi_discrete_decoder.0."),
    (r"^discrete_decoder\.hidden\.", "multi_discrete_decoder.3."),
    (r"^discrete_decoder\.classify\.", "multi_discrete_decoder.5."),
)
TABLE_NAMES = (
    "transformer.wte.weight",
    "single_discrete_encoder.weight",
    "multi_discrete_encoder.0.weight",
)
_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}


def official_name(name: str) -> str:
    """`trunk.blocks.0.attention.query.weight` -> `transformer.h.0.attn.attention.q_proj.weight`."""
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def is_official(names: Iterable[str]) -> bool:
    """Whether the tensors of a file have the published names."""
    return any(name.startswith(("transformer.", *TABLE_NAMES)) for name in names)


def is_constant(name: str) -> bool:
    """Whether `name` is a causal mask, or the number it masks with: GPT-Neo's releases used to
    store them beside the weights.
    """
    return re.fullmatch(r"transformer\.h\.\d+\.attn\.attention\.(masked_)?bias", name) is not None
