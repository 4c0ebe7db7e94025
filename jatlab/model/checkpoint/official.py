"""`config.json`, in our layout and in the published one.

Both name the model's sizes alike. The published file also holds what transformers writes into every
configuration: names that change no number are read over, any other is an error, because a number
that silently differs is worse. What the published model cannot express, our own fields, stands in a
section `jatlab`.
"""

from __future__ import annotations

import json
from pathlib import Path

from jatlab.model.config import JatConfig

MODEL_TYPE = "jat"
SECTION, POLICY = "jatlab", "cache_policy"

# Names in a published config.json that say nothing about the numbers: how transformers finds, runs
# and samples from a model.
WITHOUT_EFFECT = frozenset(
    "_attn_implementation_autoset _commit_hash _name_or_path architectures attention_layers auto_map bos_token_id chunk_size_feed_forward "
    "classifier_dropout decoder_start_token_id dtype eos_token_id finetuning_task id2label is_decoder is_encoder_decoder label2id model_type "
    "output_attentions output_hidden_states pad_token_id prefix problem_type return_dict sep_token_id task_specific_params "
    "tie_word_embeddings tokenizer_class torch_dtype torchscript transformers_version use_bfloat16 use_cache".split()
)
OFFICIAL = (  # the fields that both layouts have
    "vocab_size", "max_position_embeddings", "hidden_size", "num_layers", "attention_types", "num_heads", "intermediate_size", "window_size",
    "activation_function", "resid_dropout", "embed_dropout", "attention_dropout", "layer_norm_epsilon", "initializer_range",
    "max_discrete_value", "max_continuous_size", "image_size", "num_channels", "patch_size", "observation_loss_coef", "action_loss_coef",
)  # fmt: skip


def read_config(path: Path) -> JatConfig:
    """The configuration in a `config.json` of either layout.

    Raises `FileNotFoundError`, or `ValueError` for a file that is damaged, is another model's, or
    has a field that is not understood.
    """
    values = read_values(path)
    try:
        return _config(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_values(path: Path) -> dict:
    """What `config.json` holds, as it stands. Raises as `read_config`."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path.name} in {path.parent}: an agent's folder holds config.json and model.safetensors"
        )
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:  # not JSON, or not UTF-8
        raise ValueError(f"{path}: {error}; the file is damaged: copy it again") from error
    if not isinstance(values, dict):
        raise ValueError(
            f"{path}: holds a {type(values).__name__}, a configuration is an object of fields"
        )
    return values


def _config(values: dict) -> JatConfig:
    kind = values.get("model_type", MODEL_TYPE)
    if kind != MODEL_TYPE:
        raise ValueError(
            f"model_type is {kind!r}: this is another kind of model, jatlab reads {MODEL_TYPE!r}"
        )
    given = {name: value for name, value in values.items() if name not in WITHOUT_EFFECT}
    given |= {name: value for name, value in given.pop(SECTION, {}).items() if name != POLICY}
    layers = values.get("attention_layers")
    if layers is not None and "attention_types" not in given:
        given["attention_types"] = [[layers, 1]]
    config = JatConfig.from_dict(given)
    if layers not in (None, config.attention_layers):
        raise ValueError(
            f"attention_layers {layers} are not what attention_types {config.attention_types} describe"
        )
    return config


def own_fields(config: JatConfig) -> dict:
    """The fields that the published configuration lacks, where they are not the paper's."""
    values, paper = config.to_dict(), JatConfig().to_dict()
    return {
        name: value
        for name, value in values.items()
        if name not in OFFICIAL and value != paper[name]
    }


def inexpressible(config: JatConfig) -> list[str]:
    """Names of fields in which `config` is nothing that the published model can be: the authors'
    code would compute other numbers, or fail.
    """
    return sorted(own_fields(config).keys() - {"tokenizer"})


def official_values(config: JatConfig, dtype: str, end_id: int, cache_policy: str) -> dict:
    """The `config.json` of the published layout, with `cache_policy` and our own fields under
    `jatlab`.
    """
    values = config.to_dict()
    return {
        "architectures": ["JatModel"],
        "model_type": MODEL_TYPE,
        **{name: values[name] for name in OFFICIAL},
        "attention_layers": config.attention_layers,
        "classifier_dropout": 0.1,  # the published file's; nothing uses it
        "bos_token_id": end_id,
        "eos_token_id": end_id,
        "tie_word_embeddings": False,
        "torch_dtype": dtype,
        "use_cache": True,
        SECTION: own_fields(config) | {POLICY: cache_policy},
    }
