"""The published checkpoint's names for our parameters.

The text table has one name here; the checkpoint may list it under any of `TABLE_NAMES`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

_PROJECTIONS = {"query": "q_proj", "key": "k_proj", "value": "v_proj", "output": "out_proj"}


def _projection(match: re.Match[str]) -> str:
    return f"{match[1]}.attn.attention.{_PROJECTIONS[match[2]]}."


def _convolution(match: re.Match[str]) -> str:
    kind = "conv" if match[1] == "en" else "deconv"
    return f"image_{match[1]}coder.module.{kind}{int(match[2]) + 1}."


def _gate(match: re.Match[str]) -> str:
    return f"image_{match[1]}coder.module.att{int(match[2]) + 1}."


# applied one after another
_RENAMES: tuple[tuple[str, str | Callable[[re.Match[str]], str]], ...] = (
    (r"^text_embedding\.", "transformer.wte."),
    (r"^trunk\.positions\.", "transformer.wpe."),
    (r"^trunk\.norm\.", "transformer.ln_f."),
    (r"^trunk\.blocks\.(\d+)\.", r"transformer.h.\1."),
    (r"\.attention_norm\.", ".ln_1."),
    (r"\.mlp_norm\.", ".ln_2."),
    (r"(h\.\d+)\.attention\.(query|key|value|output)\.", _projection),
    (r"(h\.\d+)\.mlp\.up\.", r"\1.mlp.c_fc."),
    (r"(h\.\d+)\.mlp\.down\.", r"\1.mlp.c_proj."),
    (r"^patch_encoder\.", "vit_encoder."),
    (r"^continuous_encoder\.linear\.", "continuous_encoder."),
    (r"^discrete_encoder\.project\.", "multi_discrete_encoder.1."),
    (r"^discrete_encoder\.mix\.", "multi_discrete_encoder.4."),
    (r"^image_(en|de)coder\.linear\.", r"image_\1coder.module.fc."),
    (r"^image_(en|de)coder\.convolutions\.(\d)\.", _convolution),
    (r"^image_(en|de)coder\.gates\.(\d)\.", _gate),
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


def official_name(name: str) -> str:
    """The published name of one of our parameters.

    >>> official_name("trunk.blocks.0.attention.query.weight")
    'transformer.h.0.attn.attention.q_proj.weight'
    """
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def is_official(names: Iterable[str]) -> bool:
    """Whether the tensors of a file have the published names."""
    return any(name.startswith(("transformer.", *TABLE_NAMES)) for name in names)


def is_constant(name: str) -> bool:
    """Whether ``name`` is no weight, but a causal mask or the number that it masks with.

    GPT-Neo's releases used to store them beside the weights.
    """
    return re.fullmatch(r"transformer\.h\.\d+\.attn\.attention\.(masked_)?bias", name) is not None
