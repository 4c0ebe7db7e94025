"""Text to integers and back: the package's own byte-level BPE, or GPT-2's.

Every byte is a token, so no text is unknown. A word is learnt with the space before it, and a space
is put before the first word: "red" is the same token wherever it stands in a mission.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from jatlab.utils.checks import require, shortened
from jatlab.utils.files import ASSETS, atomic_write, expanded

if TYPE_CHECKING:
    import numpy as np
    from tokenizers import Encoding, Tokenizer

PAD, END = "<pad>", "<end>"
GPT2_END = "<|endoftext|>"  # GPT-2's one special token, for both
OWN = ASSETS / "tokenizer.json"


class TextTokenizer:
    """A `tokenizers.Tokenizer` with padding. `TextTokenizer.load()` is the package's own.

    A special token that is spelt out in a text, such as "<end>", is text like any other: only this
    package's code puts `end_id` and `pad_id` into sequences.

    Attributes:
        tokenizer: the library's.
        vocab_size: one more than the largest id.
        pad_id: fills up short texts.
        end_id: closes a text.
        first_space: whether it puts a space before the first word: ours does, GPT-2's does not.
    """

    def __init__(self, tokenizer: Tokenizer):
        self.tokenizer = tokenizer
        tokenizer.encode_special_tokens = True  # as text
        self.vocab_size: int = 1 + max(tokenizer.get_vocab().values(), default=-1)
        self.pad_id, self.end_id = self._special(PAD), self._special(END)
        self.first_space: bool = tokenizer.decode(tokenizer.encode("a").ids).startswith(" ")

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Unpickled in another process, where the library has forgotten the option."""
        vars(self).update(state)
        self.tokenizer.encode_special_tokens = True

    def _special(self, token: str) -> int:
        ids = [self.tokenizer.token_to_id(name) for name in (token, GPT2_END)]
        known = [number for number in ids if number is not None]
        require(known, f"the tokenizer has neither {token} nor {GPT2_END}: add one of them to it")
        return known[0]

    @classmethod
    def load(cls, name_or_path: str | os.PathLike = "jatlab") -> TextTokenizer:
        """A tokenizer by its name or from a file.

        Args:
            name_or_path: "jatlab" (the package's), "gpt2" (from the Hugging Face hub), a file, or a
                folder with `tokenizer.json`.

        Raises:
            FileNotFoundError: for a path that is not there.
            ValueError: for a file that is no tokenizer.
            ConnectionError: if the hub cannot be reached.
        """
        from tokenizers import Tokenizer

        if name_or_path == "gpt2":
            return cls(_from_hub("gpt2"))
        path = OWN if name_or_path == "jatlab" else expanded(name_or_path)
        path = path / "tokenizer.json" if path.is_dir() else path
        if not path.is_file():
            raise FileNotFoundError(
                f"no tokenizer at {path}: give a folder with tokenizer.json, 'jatlab' or 'gpt2'"
            )
        try:
            return cls(Tokenizer.from_file(str(path)))
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        except Exception as error:  # the library's own, for a file that is damaged
            raise ValueError(
                f"{path} is not a tokenizer ({error}): copy it again, or get it from where the "
                "agent came from"
            ) from None

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int) -> TextTokenizer:
        """A byte-level BPE of ``vocab_size`` tokens learnt from ``texts``."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[PAD, END],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        )
        tokenizer.train_from_iterator(texts, trainer)
        return cls(tokenizer)

    def save(self, path: str | os.PathLike) -> None:
        """Write the tokenizer as one JSON file, atomically."""
        with atomic_write(expanded(path)) as temporary:
            self.tokenizer.save(str(temporary))

    def encode(self, text: str, max_length: int | None = None) -> list[int]:
        """The ids of ``text``, at most ``max_length`` of them.

        Raises `ValueError` for what is no text, and for halves of surrogate pairs.
        """
        return self._encode([text])[0].ids[:max_length]

    def _encode(self, texts: list[str]) -> list[Encoding]:
        try:
            return self.tokenizer.encode_batch(texts)
        except (TypeError, UnicodeError):
            wrong = next(text for text in texts if not isinstance(text, str) or not _is_whole(text))
            raise ValueError(
                f"{shortened(wrong)} cannot be made into tokens: expected text without halves of "
                "surrogate pairs; decode it again, as UTF-8"
            ) from None

    def encode_batch(self, texts: list[str], length: int) -> np.ndarray:
        """Ids of several texts, int64 (len(texts), length), cut or filled up with `pad_id`."""
        import numpy as np

        ids = np.full((len(texts), length), self.pad_id, dtype=np.int64)
        for row, encoding in zip(ids, self._encode(texts), strict=True):
            row[: len(encoding.ids)] = encoding.ids[:length]
        return ids

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ``ids``, without padding and end marks."""
        text = self.tokenizer.decode([int(i) for i in ids])
        return text.removeprefix(" " if self.first_space else "")


def _is_whole(text: str) -> bool:
    """Whether a text has no halves of surrogate pairs, which UTF-8 cannot hold."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


def _from_hub(name: str) -> Tokenizer:
    from tokenizers import Tokenizer

    try:
        return Tokenizer.from_pretrained(name)
    except Exception as error:  # the library raises whatever its transport raises
        raise ConnectionError(
            f"the tokenizer {name!r} is not cached, and could not be fetched from the Hugging Face "
            f"hub ({type(error).__name__}). Fetch it once where there is network, put its "
            "tokenizer.json into a folder and load that, or use the package's own: 'jatlab'"
        ) from error
