"""Folders in exactly the published checkpoint's layout, written by the tests: what a download of
`jat-project/jat` leaves.
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.support.golden import REFERENCE, golden_weight

TRANSFORMERS = {  # what transformers writes beside the model's own fields
    "architectures": ["JatModel"],
    "attention_layers": ["global", "local"] * 2,
    "auto_map": {
        "AutoConfig": "configuration_jat.JatConfig",
        "AutoModelForCausalLM": "modeling_jat.JatModel",
    },
    "bos_token_id": 50256,
    "classifier_dropout": 0.1,
    "eos_token_id": 50256,
    "model_type": "jat",
    "torch_dtype": "float32",
    "transformers_version": "4.35.0",
    "use_cache": True,
}
NEO = {  # GPT-Neo's fields that the golden cases leave at their defaults
    "activation_function": "gelu_new",
    "attention_dropout": 0.0,
    "embed_dropout": 0.0,
    "initializer_range": 0.02,
    "intermediate_size": None,
    "layer_norm_epsilon": 1e-05,
    "resid_dropout": 0.0,
}
TABLE, ALIASES = (
    "transformer.wte.weight",
    ("single_discrete_encoder.weight", "multi_discrete_encoder.0.weight"),
)


def golden_weights() -> dict[str, torch.Tensor]:
    """The golden cases' tensors by their official names."""
    return {name: golden_weight(name, shape) for name, shape in REFERENCE["shapes"].items()}


def write_official(
    folder: Path, weights: dict[str, torch.Tensor], tokenizer: bool = True, **config
) -> Path:
    """`config.json`, `model.safetensors` and a tokenizer; `config` changes fields, None removes
    one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fields = TRANSFORMERS | NEO | REFERENCE["config"] | config
    (folder / "config.json").write_text(
        json.dumps(
            {
                name: value
                for name, value in fields.items()
                if name not in config or config[name] is not None
            }
        )
    )
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    if tokenizer:
        gpt2_like().save(str(folder / "tokenizer.json"))
    return folder


def gpt2_like():
    """A tokenizer made as GPT-2's is: bytes, no space before the first word, one special token."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=300,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(["go to the red ball", "pick up the blue key"] * 5, trainer)
    return tokenizer
