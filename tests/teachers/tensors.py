"""Tensors of a small random policy."""

from itertools import pairwise

import numpy as np


def policy_tensors(widths, limit=1.0, seed=0):
    """Tensors of a policy with layers of these widths."""
    rng = np.random.default_rng(seed)
    layers = {f"weight.{i}": rng.normal(size=(b, a)) for i, (a, b) in enumerate(pairwise(widths))}
    layers |= {f"bias.{i}": rng.normal(size=b) for i, b in enumerate(widths[1:])}
    return {
        "mean": rng.normal(size=widths[0]),
        "scale": rng.uniform(0.5, 2, widths[0]),
        "limit": np.full(widths[-1], limit),
        **layers,
    }
