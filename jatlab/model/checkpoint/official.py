"""`config.json`, in our layout and in the published one.

Both layouts have the same names for the model's sizes. The published file also has the fields that
transformers writes into every configuration. Those that change no number are ignored; any other is
an error, because a number that silently differs is worse. The fields that the published model does
not have are in a section `jatlab`.

Until release 1.0 an old form is read too, in which the settings of training and of play were fields
of the model (`upgraded`, `old_play_settings`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jatlab.model.config import JatConfig
from jatlab.utils.checks import require
from jatlab.utils.files import read_json

MODEL_TYPE = "jat"
SECTION = "jatlab"

# Fields of a published config.json that change no number: how transformers finds, runs and samples
# from a model.
WITHOUT_EFFECT = frozenset({
    "_attn_implementation_autoset", "_commit_hash", "_name_or_path", "architectures",
    "attention_layers", "auto_map", "bos_token_id", "chunk_size_feed_forward",
    "classifier_dropout", "decoder_start_token_id", "dtype", "eos_token_id", "finetuning_task",
    "id2label", "is_decoder", "is_encoder_decoder", "label2id", "model_type", "output_attentions",
    "output_hidden_states", "pad_token_id", "prefix", "problem_type", "return_dict",
    "sep_token_id", "task_specific_params", "tie_word_embeddings", "tokenizer_class",
    "torch_dtype", "torchscript", "transformers_version", "use_bfloat16", "use_cache",
})  # fmt: skip
OFFICIAL = (  # the fields that both layouts have
    "vocab_size", "max_position_embeddings", "hidden_size", "num_layers", "attention_types",
    "num_heads", "intermediate_size", "window_size", "activation_function", "resid_dropout",
    "embed_dropout", "attention_dropout", "layer_norm_epsilon", "initializer_range",
    "max_discrete_value", "max_continuous_size", "image_size", "num_channels", "patch_size",
    "observation_loss_coef", "action_loss_coef",
)  # fmt: skip

# Fields of the old form: those that concern only training are dropped; `old_play_settings` reads
# those of play, under these names.
OLD_TRAINING = frozenset({"frames_predicted", "observations_predicted", "past_action_dropout"})
OLD_PLAY = {
    "action_temperature": "temperature",
    "windows": "windows",
    "cache_policy": "cache_policy",
}


def read_config(path: Path) -> JatConfig:
    """The configuration in a `config.json` of either layout.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: for a file that is damaged, is another model's, or has an unknown field.
    """
    values = read_values(path)
    try:
        return _config(values)
    except (TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"{path}: {error}") from error


def read_values(path: Path) -> dict[str, Any]:
    """The fields of a `config.json`, unchanged. Raises as `read_config` does."""
    if not path.is_file():
        raise FileNotFoundError(
            f"no {path.name} in {path.parent}: an agent's folder holds config.json and "
            "model.safetensors"
        )
    return read_json(path)


def _config(values: dict[str, Any]) -> JatConfig:
    kind = values.get("model_type", MODEL_TYPE)
    if kind != MODEL_TYPE:
        raise ValueError(
            f"model_type is {kind!r}: this is another kind of model, jatlab reads {MODEL_TYPE!r}"
        )
    given = upgraded(_flat(values))
    layers = values.get("attention_layers")
    require(
        layers is None or isinstance(layers, list),
        f"attention_layers is {layers!r}: expected a list of 'global' and 'local'",
    )
    if layers is not None and "attention_types" not in given:
        given["attention_types"] = [[layers, 1]]
    config = JatConfig.from_dict(given)
    if layers not in (None, config.attention_layers):
        raise ValueError(
            f"attention_layers {layers} are not what attention_types {config.attention_types} "
            "describe"
        )
    return config


def _flat(values: dict[str, Any]) -> dict[str, Any]:
    """Our fields of a `config.json`, those of the section `jatlab` among them."""
    given = {name: value for name, value in values.items() if name not in WITHOUT_EFFECT}
    own = given.pop(SECTION, {})
    require(isinstance(own, dict), f"{SECTION} is {own!r}: expected an object of fields")
    return given | own


def upgraded(given: dict[str, Any]) -> dict[str, Any]:
    """The fields of a `JatConfig`, from those of the old form or of today's."""
    ours = {name: v for name, v in given.items() if name not in OLD_TRAINING | OLD_PLAY.keys()}
    if "continuous_waves" in ours:
        ours["continuous_fourier_features"] = ours.pop("continuous_waves")
    if given.get("past_action_dropout") == 1:
        ours["hide_past_actions"] = True
    return ours


def old_play_settings(values: dict[str, Any]) -> dict[str, Any]:
    """The settings of play in a `config.json` of the old form: fields of `AgentSettings`."""
    given = _flat(values)
    return {new: given[old] for old, new in OLD_PLAY.items() if old in given}


def own_fields(config: JatConfig) -> dict[str, Any]:
    """The fields that the published configuration lacks, where they are not the paper's."""
    values, paper = config.to_dict(), JatConfig().to_dict()
    return {
        name: value
        for name, value in values.items()
        if name not in OFFICIAL and value != paper[name]
    }


def inexpressible(config: JatConfig) -> list[str]:
    """Names of the fields that make ``config`` something that the published model cannot be.

    The authors' code would compute other numbers, or fail.
    """
    return sorted(own_fields(config).keys() - {"tokenizer"})


def official_values(config: JatConfig, dtype: str, end_id: int) -> dict[str, Any]:
    """The `config.json` of the published layout, with our own fields under `jatlab`.

    Args:
        config: the model's configuration.
        dtype: the dtype in which the weights are stored, such as "float32".
        end_id: the id of the tokenizer's end mark.

    Returns:
        The fields, ready for JSON.
    """
    values, own = config.to_dict(), own_fields(config)
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
        **({SECTION: own} if own else {}),
    }
