"""What every stage of the kit is told."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch


def parse(description: str | None) -> argparse.Namespace:
    """The folders, and whether this is a rehearsal."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rehearse", action="store_true")
    return parser.parse_args()


def device() -> torch.device:
    """The GPU; in a rehearsal, the processor."""
    return torch.device(os.environ.get("JATLAB_DEVICE", "cuda"))
