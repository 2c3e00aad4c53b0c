"""Captions as tokens: a byte-level BPE trained on the captions themselves."""

from __future__ import annotations

from collections.abc import Sequence
from warnings import warn

import numpy as np
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

PAD = 0


def train_tokenizer(captions: Sequence[str], vocabulary: int) -> Tokenizer:
    """Train a lower-casing byte-level BPE with at most ``vocabulary`` tokens; 0 is padding."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(captions, trainer)
    return tokenizer


def encode_captions(tokenizer: Tokenizer, captions: Sequence[str], limit: int) -> np.ndarray:
    """Return tokens padded on the left to the longest caption, int64 (n, length).

    Padding on the left keeps the last word next to the first image token and lets a prompt be
    longer than any caption. A caption above ``limit`` tokens loses its beginning, with a warning.
    """
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(captions))]
    longest = max((len(row) for row in rows), default=1)
    if longest > limit:
        warn(f"a caption of {longest} tokens is cut to the last {limit}", stacklevel=2)
    length = max(1, min(longest, limit))
    tokens = np.full((len(rows), length), PAD, np.int64)
    for i, row in enumerate(rows):
        kept = row[-length:]
        if kept:
            tokens[i, -len(kept) :] = kept
    return tokens
