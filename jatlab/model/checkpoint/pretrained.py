"""Saving and loading a model as a folder: `config.json` and `model.safetensors`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import torch
from huggingface_hub import PyTorchModelHubMixin
from torch import nn

from jatlab.model.checkpoint.hub import find_folder
from jatlab.model.checkpoint.official import read_config
from jatlab.model.checkpoint.weights import WeightFile, build_from_file, save_weights
from jatlab.utils.checks import require
from jatlab.utils.files import expanded

CARD = """\
---
{{ card_data }}
---

# A model of jatlab

Weights and sizes of a `JatModel` of [jatlab](https://github.com/jatlab/jatlab), the network alone:

```python
import jatlab

model = jatlab.JatModel.from_pretrained("OWNER/NAME, or this folder")
```

An agent also has a tokenizer and settings: `Agent.save_pretrained` writes all of it, with a card.
"""


class PretrainedModule(
    nn.Module,
    PyTorchModelHubMixin,
    library_name="jatlab",
    repo_url="https://github.com/jatlab/jatlab",
    license="apache-2.0",
    model_card_template=CARD,
):
    """A module with `save_pretrained`, `push_to_hub` and `from_pretrained`, without pickles."""

    def save_pretrained(self, save_directory: str | Path, **options: Any) -> str | None:
        """Write the model into a folder; the options are those of the hub's mixin."""
        return super().save_pretrained(expanded(save_directory), **options)

    def _save_pretrained(self, save_directory: Path) -> None:  # a hook of the hub's mixin
        save_weights(self, Path(save_directory) / "model.safetensors")

    @classmethod
    def from_pretrained(  # type: ignore[override]  # the mixin's options are all in **hub
        cls,
        name_or_folder: str | Path,
        *,
        dtype: torch.dtype | str | None = None,
        device: str = "cpu",
        **hub: Any,
    ) -> Self:
        """The model in a folder or in a repository of the hub, in our layout or the published one.

        Args:
            name_or_folder: a folder, or OWNER/NAME on the hub.
            dtype: float32 or bfloat16; None: see `WeightFile.usual_dtype`.
            device: where the weights go; on a CPU they are mapped from the file, not copied.
            hub: options of `huggingface_hub.snapshot_download` (revision, token, …).

        Raises:
            FileNotFoundError: if there is no such model.
            ValueError: if its files are damaged or do not belong together.
        """
        folder = find_folder(name_or_folder, **hub)
        config = read_config(folder / "config.json")
        file = WeightFile(folder / "model.safetensors")
        layers, tensors = config.num_layers, len(file.files)
        require(
            layers <= tensors,
            f"config.json says {layers:,} layers, but {file.path} has {tensors} tensors: they do "
            "not belong together; get both again",
        )
        model = build_from_file(lambda: cls(config), file, dtype)
        return model.to(device).eval()
