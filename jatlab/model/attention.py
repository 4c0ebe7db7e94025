"""Dual attention: global and local causal layers (paper, section 3.2; GPT-Neo's alternation), and
the key/value cache.

Both kinds are one computation under two masks. A *global* token sees every token up to itself; a
*local* one sees the last `window_size` tokens, itself included. Scores are not divided by sqrt(D),
and the query, key and value projections have no bias.

Letters: B batch, L queries, S keys, H hidden size, N heads, D = H / N head size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.model.config import JatConfig
from jatlab.utils.machine import limit_threads

# before the first computation: in a container torch would start a thread for each core of the host
limit_threads()


def visible_keys(queries: Tensor, keys: Tensor, window: int | None = None) -> Tensor:
    """Which keys each query may see: none from its future, and with a `window` only the last
    `window` tokens.

    `queries` (…, L) and `keys` (…, S) hold the tokens' indices in their sequence; a negative key
    index marks an empty slot or padding. Returns booleans (…, L, S).
    """
    distance = queries[..., :, None] - keys[..., None, :]  # (…, L, S)
    visible = (distance >= 0) & (keys >= 0)[..., None, :]
    return visible if window is None else visible & (distance < window)


def hide_past_actions(visible: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Take the action tokens (odd indices) out of what observation tokens (even indices) see.

    An imitator that sees its own past actions learns to repeat the last one; what it did still
    reaches the action tokens, which predict the next observation.
    """
    blind = (queries % 2 == 0)[..., :, None] & (keys % 2 == 1)[..., None, :]  # (…, L, S)
    return visible & ~blind


class KeyValueCache:
    """Keys and values of the tokens already seen, for B rows that may start over at different
    times.

    Each row is a ring of `capacity` slots; token i of a sequence lies in slot i modulo `capacity`.
    `index` (B, capacity) says which token a slot holds, -1 when empty: masks are made from it, so
    forgetting a row is writing -1, and nothing is moved.
    """

    def __init__(self, config: JatConfig, batch: int, capacity: int, device=None, dtype=None):
        shape = (
            batch,
            capacity,
            config.num_heads,
            config.hidden_size // config.num_heads,
        )  # (B, capacity, N, D)
        self.keys = [
            torch.zeros(shape, device=device, dtype=dtype) for _ in range(config.num_layers)
        ]
        self.values = [
            torch.zeros(shape, device=device, dtype=dtype) for _ in range(config.num_layers)
        ]
        self.index = torch.full((batch, capacity), -1, device=device)
        self.rows = torch.arange(batch, device=device)[:, None]
        self.used = 0  # slots from here on are empty in every row

    @property
    def capacity(self) -> int:
        return self.index.shape[1]

    def reserve(self, index: Tensor, rows: Tensor | None = None) -> None:
        """Announce the tokens `index` (B, L) of the next forward pass (of `rows` only, if given);
        -1 marks a token to leave out.
        """
        self.write_rows = self.rows if rows is None else rows[:, None]
        self.slots = torch.where(
            index < 0, 1, index % self.capacity
        )  # left out: into a slot that the next token takes, invisible
        self.index[self.write_rows, self.slots] = index
        self.used = max(self.used, int(self.slots.max()) + 1)

    def forget(self, rows: Tensor) -> None:
        """Empty the rows chosen by the boolean (or index) tensor `rows`."""
        self.index[rows] = -1
        self.used = self.used if (self.index >= 0).any() else 0

    def key_index(self) -> Tensor:
        """Token indices (rows written, S) of the slots that `extend` returns."""
        return self.index[self.write_rows[:, 0], : self.used]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store the new keys and values, each (B, N, L, D), in the reserved slots; return all that
        is held: (B, N, S, D).
        """
        held = []
        for store, new in ((self.keys[layer], key), (self.values[layer], value)):
            store[self.write_rows, self.slots] = new.transpose(1, 2).to(store.dtype)  # (B, L, N, D)
            rows = (
                store[:, : self.used]
                if self.write_rows is self.rows
                else store[self.write_rows[:, 0], : self.used]
            )
            held.append(rows.transpose(1, 2).to(new.dtype))
        return held[0], held[1]


class DualAttention(nn.Module):
    """One layer's attention. `kind`, "global" or "local", chooses its mask; the rest is the same
    for both.
    """

    def __init__(self, config: JatConfig, layer: int):
        super().__init__()
        self.layer, self.kind = layer, config.attention_layers[layer]
        self.num_heads, self.dropout = config.num_heads, config.attention_dropout
        self.query, self.key, self.value = (
            nn.Linear(config.hidden_size, config.hidden_size, bias=False) for _ in range(3)
        )
        self.output = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(
        self,
        x: Tensor,
        masks: dict[str, Tensor],
        cache: KeyValueCache | None = None,
        record: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """`x` (B, L, H) -> the mixed values (B, L, H), and with `record` the weights (B, N, L, S)
        that this very pass used.
        """
        query, key, value = (
            self._split(project(x)) for project in (self.query, self.key, self.value)
        )
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)
        mixed, weights = (_attend_recording if record else _attend)(
            query, key, value, masks[self.kind], self.dropout * self.training
        )
        return self.output(mixed.transpose(1, 2).flatten(2)), weights  # (B, N, L, D) -> (B, L, H)

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)  # (B, L, H) -> (B, N, L, D)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float
) -> tuple[Tensor, None]:
    """Attention without its weights. In float32 on a CPU, where bfloat16 has a slow backward pass;
    scores are float32 anyway, as published.
    """
    dtype = torch.float32 if query.device.type == "cpu" else query.dtype
    with torch.autocast(query.device.type, enabled=False):
        mixed = F.scaled_dot_product_attention(
            query.to(dtype),
            key.to(dtype),
            value.to(dtype),
            attn_mask=mask,
            dropout_p=dropout,
            scale=1.0,
        )
    return mixed.to(query.dtype), None


def _attend_recording(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float
) -> tuple[Tensor, Tensor]:
    """The same, spelled out, so that the weights can be kept."""
    with torch.autocast(query.device.type, enabled=False):
        scores = query.float() @ key.float().transpose(-1, -2)  # (B, N, L, S)
    weights = scores.masked_fill(~mask, torch.finfo(torch.float32).min).softmax(-1).to(value.dtype)
    return F.dropout(weights, dropout) @ value, weights
