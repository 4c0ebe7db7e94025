"""Agents that travel: `Agent.save_pretrained` and `Agent.push_to_hub`, with all that belongs along.

A folder gets the weights, the sizes, the tokenizer, how the agent plays, how it came about, and a
card. The card is the one of the folder that the agent was loaded from, such as an evaluation's with
its scores; an agent without one gets a plain card.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import torch

from jatlab.agents.card import agent_card
from jatlab.agents.settings import FILE as SETTINGS_FILE
from jatlab.agents.settings import AgentSettings
from jatlab.model import JatModel
from jatlab.model.checkpoint.weights import save_weights
from jatlab.model.tokenization import TextTokenizer
from jatlab.utils.files import expanded, write_json, write_text
from jatlab.utils.manifest import seal
from jatlab.utils.upload import upload

SEALED = ("config.json", "model.safetensors", "tokenizer.json", SETTINGS_FILE, "training.json")


class Travelling:
    """An agent's way to a folder and to the hub."""

    model: JatModel
    tokenizer: TextTokenizer
    info: dict[str, Any]
    settings: AgentSettings
    card: str | None = None  # README.md of the folder that it comes from

    def save_pretrained(
        self, folder: str | os.PathLike[str], dtype: torch.dtype | None = None
    ) -> Path:
        """Write the agent into a folder, which `jatlab.load_agent` reads back; returns the folder.

        Args:
            folder: where; it is made if need be.
            dtype: of the stored weights, such as `torch.bfloat16`; None: theirs.
        """
        folder = expanded(folder)
        save_weights(self.model, folder / "model.safetensors", dtype)
        write_json(folder / "config.json", self.model.config.to_dict())
        self.save_beside(folder)
        card = self.card or agent_card(self.model, self.settings, self.info)
        write_text(folder / "README.md", card)
        return folder

    def save_beside(self, folder: Path) -> None:
        """Write what stands beside a model: tokenizer, settings, training, and the manifest."""
        self.tokenizer.save(folder / "tokenizer.json")
        self.settings.save(folder)
        info = {key: value for key, value in self.info.items() if key != "name"}
        write_json(folder / "training.json", info)
        seal(folder, SEALED)

    def push_to_hub(
        self,
        repo_id: str,
        private: bool = False,
        dtype: torch.dtype | None = None,
        token: str | None = None,
    ) -> str:
        """Send the agent to the Hugging Face hub and return the address of its page.

        Args:
            repo_id: OWNER/NAME; it is made if need be.
            private: whether only its owner sees a repository that is made now.
            dtype: of the stored weights; None: theirs.
            token: of the hub; None: the one of `hf auth login`.

        Raises:
            ValueError: for another name than OWNER/NAME.
            OSError: when the hub cannot be reached, or refuses.
        """
        with tempfile.TemporaryDirectory() as folder:
            path = self.save_pretrained(folder, dtype)
            files = sorted(file.name for file in path.iterdir())
            return upload(path, files, repo_id, "model", private, token)
