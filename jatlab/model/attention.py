"""Dual attention and the key/value cache (paper, section 3.2; GPT-Neo's alternating layers).

Global and local layers are one computation under two masks. In a *global* layer a token sees every
token up to itself; in a *local* layer it sees the last `window_size` tokens, itself included.
Scores are not divided by sqrt(D), and the query, key and value projections have no bias.

Letters: B batch, L queries, S keys, H hidden size, N heads, D = H / N head size.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from jatlab.model.config import JatConfig
from jatlab.model.linear.layer import Linear
from jatlab.utils.machine import limit_threads

# before the first computation: in a container torch would start a thread for each core of the host
limit_threads()
# Two trainings in bfloat16 had NaN gradients with it within 150 steps (H100, torch 2.11); a third,
# without it, had none in 144. A related fault, with a mask: pytorch/pytorch#196678.
torch.backends.cuda.enable_cudnn_sdp(False)

BLOCKED = 5  # dimensions of a mask in blocks
FEWEST = 4  # blocks: with fewer, the whole mask is as fast
FEW = 3  # queries: PyTorch's fast attention is made for more, and a fifth slower
DTYPES = (torch.float32, torch.bfloat16)  # of such queries


def visible_keys(queries: Tensor, keys: Tensor, window: int | None = None) -> Tensor:
    """Which keys each query may see: none of its future.

    Args:
        queries: (…, L), the places of the tokens in their sequence.
        keys: (…, S), the same; a negative number marks an empty slot or padding.
        window: how many tokens a query sees, itself included; None: all of its past.

    Returns:
        Booleans (…, L, S).
    """
    distance = queries[..., :, None] - keys[..., None, :]  # (…, L, S)
    visible = (distance >= 0) & (keys >= 0)[..., None, :]
    return visible if window is None else visible & (distance < window)


def hide_past_actions(visible: Tensor, queries: Tensor, keys: Tensor) -> Tensor:
    """Take the action tokens (odd places) out of what observation tokens (even places) see.

    An imitator that sees its own past actions learns to repeat the last one. The actions still
    reach the action tokens, from which the next observation is predicted.
    """
    hidden = (queries % 2 == 0)[..., :, None] & (keys % 2 == 1)[..., None, :]  # (…, L, S)
    return visible & ~hidden


class KeyValueCache:
    """Keys and values of the tokens already seen, for B rows that may start over at any time.

    Each row is a ring of `capacity` slots; token i of a sequence lies in slot i modulo `capacity`.
    `index` (B, capacity) says which token a slot holds, -1 when it is empty. Masks are made from
    `index`, so forgetting a row means writing -1, and nothing is moved.
    """

    def __init__(
        self,
        config: JatConfig,
        batch: int,
        capacity: int,
        device: torch.device | None = None,
        dtype: torch.dtype | None = None,
    ):
        # a head's keys lie side by side: few queries wait for them to be read, and so it is faster
        shape = (batch, config.num_heads, capacity, config.hidden_size // config.num_heads)
        layers = range(config.num_layers)
        if dtype is not None and torch.device(device or "cpu").type == "cpu":
            dtype = torch.promote_types(dtype, torch.float32)  # in which a CPU attends
        self.keys = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self.values = [torch.zeros(shape, device=device, dtype=dtype) for _ in layers]
        self.index = torch.full((batch, capacity), -1, device=device)
        self.rows = torch.arange(batch, device=device)[:, None]
        self.used = 0  # slots from here on are empty in every row

    @property
    def capacity(self) -> int:
        """Slots of a row."""
        return self.index.shape[1]

    def reserve(self, index: Tensor, rows: Tensor | None = None) -> None:
        """Announce the tokens of the next forward pass.

        Args:
            index: (B, L), their places in their sequences; -1 marks a token to leave out.
            rows: the rows that they belong to; None: all.
        """
        self.write_rows = self.rows if rows is None else rows[:, None]
        # a token left out goes, invisible, into a slot that the next token takes
        self.slots = torch.where(index < 0, 1, index % self.capacity)
        self.index[self.write_rows, self.slots] = index
        first, last = self.slots.aminmax()
        self.used = max(self.used, int(last) + 1)
        self.span = self._same_slots(first) if rows is None else None

    def _same_slots(self, first: Tensor) -> slice | None:
        """The slots, if they follow each other and are those of all rows: faster to write to.

        On a CPU alone; to ask a GPU is to wait for it.
        """
        if self.slots.device.type != "cpu":
            return None
        span = slice(int(first), int(first) + self.slots.shape[1])
        return span if bool((self.slots == torch.arange(span.start, span.stop)).all()) else None

    def forget(self, rows: Tensor) -> None:
        """Empty the rows chosen by the boolean (or index) tensor ``rows``."""
        self.index[rows] = -1
        self.used = self.used if (self.index >= 0).any() else 0

    def key_index(self) -> Tensor:
        """The places (rows written, S) of the tokens that `extend` returns."""
        return self.index[self.write_rows[:, 0], : self.used]

    def extend(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Store new keys and values in the reserved slots, and return all that are there.

        Args:
            layer: whose they are.
            key: (B, N, L, D).
            value: (B, N, L, D).

        Returns:
            Keys and values of all tokens in the cache, (B, N, S, D) each.
        """
        return self._extend(self.keys[layer], key), self._extend(self.values[layer], value)

    def _extend(self, store: Tensor, new: Tensor) -> Tensor:
        if self.span is not None:
            store[:, :, self.span] = new
            return store[:, :, : self.used]
        # (B, N, L, D) -> (B, L, N, D), the order in which two lists of indices address `store`
        store[self.write_rows, :, self.slots] = new.transpose(1, 2).to(store.dtype)
        held = store if self.write_rows is self.rows else store[self.write_rows[:, 0]]
        return held[:, :, : self.used]


class DualAttention(nn.Module):
    """One layer's attention; its `kind`, "global" or "local", chooses the mask."""

    def __init__(self, config: JatConfig, layer: int):
        super().__init__()
        self.layer, self.kind = layer, config.attention_layers[layer]
        self.num_heads, self.dropout = config.num_heads, config.attention_dropout
        size = config.hidden_size
        self.query = Linear(size, size, bias=False)
        self.key = Linear(size, size, bias=False)
        self.value = Linear(size, size, bias=False)
        self.output = Linear(size, size)

    def forward(
        self,
        x: Tensor,
        masks: Mapping[str, Tensor | None],
        cache: KeyValueCache | None = None,
        record: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Mix the values of the tokens that each token sees.

        Args:
            x: (B, L, H).
            masks: for each kind of layer booleans (1 or B, 1, L, S), or None for causal attention;
                for local layers perhaps in blocks (1 or B, 1, n, W, 2 W), which are not recorded.
            cache: the keys and values of earlier tokens, to which these are added.
            record: return the weights that this very pass used.

        Returns:
            The mixed values (B, L, H), and the weights (B, N, L, S) or None.
        """
        projections = (self.query, self.key, self.value)
        query, key, value = (self.split(project(x)) for project in projections)
        if cache is not None:
            key, value = cache.extend(self.layer, key, value)
        mask, dropout = masks[self.kind], self.dropout * self.training
        if mask is not None and mask.ndim == BLOCKED:
            mixed, weights = _attend_in_blocks(query, key, value, mask, dropout), None
        else:
            mixed, weights = attend(query, key, value, mask, dropout, record)
        return self.output(mixed.transpose(1, 2).flatten(2)), weights  # (B, N, L, D) -> (B, L, H)

    def split(self, x: Tensor) -> Tensor:
        """Cut the vectors into heads, (B, L, H) -> (B, N, L, D)."""
        return x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)


def attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    dropout: float = 0.0,
    record: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Mix the values of the keys that each query sees.

    Args:
        query: (B, N, L, D).
        key: (B, N, S, D).
        value: (B, N, S, D).
        mask: booleans (1 or B, 1, L, S), or None for causal attention.
        dropout: share of the weights that are left out.
        record: return the weights too.

    Returns:
        The mixed values (B, N, L, D), and the weights (B, N, L, S), or perhaps None.
    """
    if record:
        return _attend_recording(query, key, value, mask, dropout)
    if mask is not None and _few(query):
        return _attend_few(query, key, value, mask), None
    return _attend(query, key, value, mask, dropout)


def _few(query: Tensor) -> bool:
    """Whether attention is faster spelled out: when acting on a CPU."""
    acting = query.device.type == "cpu" and not torch.is_grad_enabled()
    acting = acting and not torch.is_autocast_enabled("cpu")  # it would round the scores
    return acting and query.dtype in DTYPES and query.shape[-2] <= FEW


def _attend_few(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Attention of few queries, spelled out in float32."""
    scores = query.float() @ key.float().transpose(-1, -2)  # (B, N, L, S)
    weights = scores.masked_fill_(~mask, torch.finfo(torch.float32).min).softmax(-1)
    return (weights @ value.float()).to(query.dtype)


def _attend(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
) -> tuple[Tensor, Tensor | None]:
    """Attention without its weights; without a mask, causal attention.

    On a CPU in float32, because bfloat16 has a slow backward pass there; the scores are float32
    anyway, as published.
    """
    dtype = torch.float32 if query.device.type == "cpu" else query.dtype
    query_, key_, value_ = query.to(dtype), key.to(dtype), value.to(dtype)
    with torch.autocast(query.device.type, enabled=False):
        mixed = F.scaled_dot_product_attention(
            query_, key_, value_, mask, dropout, is_causal=mask is None, scale=1.0
        )
    return mixed.to(query.dtype), None


def _attend_recording(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, dropout: float
) -> tuple[Tensor, Tensor | None]:
    """The same with its weights."""
    if mask is None:
        shape = (query.shape[-2], key.shape[-2])
        mask = torch.ones(shape, dtype=torch.bool, device=key.device).tril()
    with torch.autocast(query.device.type, enabled=False):
        scores = query.float() @ key.float().transpose(-1, -2)  # (B, N, L, S)
    weights = scores.masked_fill(~mask, torch.finfo(torch.float32).min).softmax(-1)
    mixed = F.dropout(weights, dropout).to(value.dtype) @ value
    return mixed.to(query.dtype), weights.to(query.dtype)


# --- long sequences -------------------------------------------------------------------------------
#
# A local layer's token sees W tokens. Under a mask over the whole sequence, L x L scores are made
# and most are thrown away. Cut into n blocks of W tokens, a token sees its own block and the one
# before, so L x 2 W scores are enough. The numbers are those of the whole mask, up to rounding.


def block_size(window: int, every: int, length: int) -> int | None:
    """W for a window over places of which every ``every``-th has a token.

    None where ``length`` tokens are too few to gain by blocks.
    """
    size = -(-window // every)
    return size if length >= FEWEST * size else None


def in_blocks(x: Tensor, size: int, dim: int, fill: int = 0) -> Tensor:
    """Cut dimension ``dim`` (L) into two, (n, W); what lacks in the last block is ``fill``."""
    missing = -x.shape[dim] % size
    filled = torch.cat([x, x.new_full((*x.shape[:dim], missing, *x.shape[dim + 1 :]), fill)], dim)
    return filled.unflatten(dim, (-1, size))


def with_previous(blocks: Tensor, dim: int, fill: int = 0) -> Tensor:
    """(…, n, W, …), n at ``dim`` -> (…, n, 2 W, …): before each block stands the one before it."""
    first = torch.full_like(blocks.narrow(dim, 0, 1), fill)
    previous = torch.cat([first, blocks.narrow(dim, 0, blocks.shape[dim] - 1)], dim)
    return torch.cat([previous, blocks], dim + 1)


def blocks_of_places(queries: Tensor, keys: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Places (B, L) of queries and keys -> (B, n, W) and (B, n, 2 W); -1 where nothing is."""
    return (
        in_blocks(queries, size, 1, fill=-1),
        with_previous(in_blocks(keys, size, 1, fill=-1), 1, fill=-1),
    )


def _attend_in_blocks(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor, dropout: float
) -> Tensor:
    """`_attend` to (B, N, L, D) under a local mask in blocks, (1 or B, 1, n, W, 2 W)."""
    size, batch, length = mask.shape[-2], len(query), query.shape[2]
    queries = in_blocks(query, size, 2)  # (B, N, n, W, D)
    # (B, N, n, 2 W, D)
    keys, values = (with_previous(in_blocks(x, size, 2), 2) for x in (key, value))
    masks = mask.expand(batch, *mask.shape[1:])
    # each block becomes a row of the batch: (B n, N, …, D)
    rows = [x.transpose(1, 2).flatten(0, 1) for x in (queries, keys, values, masks)]
    mixed, _ = _attend(rows[0], rows[1], rows[2], rows[3], dropout)
    return mixed.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)[:, :, :length]
