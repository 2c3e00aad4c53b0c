"""The decoder-only transformer over [text | image] tokens, with a key/value cache."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from untrain.generators.dalle.presets import Preset
from untrain.generators.dalle.tokenizer import PAD
from untrain.generators.paired import widened
from untrain.generators.products import SquaredReLU

CHUNK = 256
"""Queries at a time in long sequences: what all of them come before is then not computed."""


class _Memory:
    """Keys and values of a block, with room for all that will come: none is ever copied."""

    def __init__(self, length: int) -> None:
        self.length, self.end = length, 0

    def extend(self, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the keys and values of new positions and return those of all, (n, heads, …)."""
        if self.end == 0:
            shape = *k.shape[:2], self.length, k.shape[3]
            self.keys, self.values = k.new_empty(shape), v.new_empty(shape)
        start, self.end = self.end, self.end + k.shape[2]
        self.keys[:, :, start : self.end] = k
        self.values[:, :, start : self.end] = v
        return self.keys[:, :, : self.end], self.values[:, :, : self.end]


def _attend(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Return attention under ``mask``; queries as many as keys see none that come after them."""
    length = q.shape[2]
    if length < 2 * CHUNK:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    parts = []
    for start in range(0, length, CHUNK):
        end = min(start + CHUNK, length)
        seen = k[:, :, :end], v[:, :, :end], mask[..., start:end, :end]
        parts.append(F.scaled_dot_product_attention(q[:, :, start:end], *seen))
    return torch.cat(parts, 2)


class _Block(nn.Module):
    def __init__(self, preset: Preset) -> None:
        super().__init__()
        inner = preset.heads * preset.head_dim
        self.heads, self.head_dim = preset.heads, preset.head_dim
        self.norm_attention = nn.LayerNorm(preset.dim)
        self.qkv = nn.Linear(preset.dim, 3 * inner, bias=False)
        self.out = nn.Linear(inner, preset.dim, bias=False)
        self.norm_mlp = nn.LayerNorm(preset.dim)
        self.up = nn.Linear(preset.dim, 4 * preset.dim)
        self.activation = SquaredReLU()
        self.down = nn.Linear(4 * preset.dim, preset.dim)

    def forward(
        self, x: torch.Tensor, mask: torch.Tensor, memory: _Memory | None = None
    ) -> torch.Tensor:
        *batch, length, _ = x.shape  # a stack has models before the rows
        qkv = self.qkv(self.norm_attention(x)).view(-1, length, 3, self.heads, self.head_dim)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        if memory is not None:
            k, v = memory.extend(k, v)
        y = _attend(q, k, v, mask)
        x = x + self.out(y.transpose(1, 2).reshape(*batch, length, -1))
        return x + self.down(self.activation(self.up(self.norm_mlp(x))))


class _Further(nn.Module):
    """Predicts a further code of a place from what is known of it and its codes so far."""

    def __init__(self, preset: Preset) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(preset.dim)
        self.up = nn.Linear(preset.dim, 2 * preset.dim)
        self.down = nn.Linear(2 * preset.dim, preset.dim)
        self.activation = SquaredReLU()

    def forward(self, x: torch.Tensor, codes: torch.Tensor) -> torch.Tensor:
        x = x + codes
        return x + self.down(self.activation(self.up(self.norm(x))))


class Transformer(nn.Module):
    """p(text, image) as one sequence; image logits cover only the image codes.

    Text is padded on the left and padding is masked; text positions count from the end, so that
    prompts may be longer than any caption seen. Image positions are a row plus a column.

    Where a place has several codes, the sequence has one position for all of them, the sum of their
    vectors: the first is predicted as a single one is, each further one by a small network that is
    also given those before it (as the depth transformer of Lee et al., CVPR 2022, does).
    """

    def __init__(self, preset: Preset, vocabulary: int) -> None:
        super().__init__()
        self.grid, self.parts, self.codes = preset.grid, preset.parts, preset.codes
        self.text = nn.Embedding(vocabulary, preset.dim)
        self.image = nn.Embedding(preset.parts * preset.codes, preset.dim)
        self.text_position = nn.Embedding(preset.text_limit, preset.dim)
        self.row = nn.Embedding(preset.grid[0], preset.dim)
        self.column = nn.Embedding(preset.grid[1], preset.dim)
        self.blocks = nn.ModuleList(_Block(preset) for _ in range(preset.depth))
        self.norm = nn.LayerNorm(preset.dim)
        self.text_head = nn.Linear(preset.dim, vocabulary, bias=False)
        self.image_head = nn.Linear(preset.dim, preset.codes, bias=False)
        further = range(1, preset.parts)
        self.further_blocks = nn.ModuleList(_Further(preset) for _ in further)
        self.further_heads = nn.ModuleList(
            nn.Linear(preset.dim, preset.codes, bias=False) for _ in further
        )
        self._initialise(preset)

    def _initialise(self, preset: Preset) -> None:
        for name, parameter in self.named_parameters():
            if parameter.ndim == 2:
                deep = name.endswith(("out.weight", "down.weight"))
                std = 0.02 / math.sqrt(2 * preset.depth) if deep else 0.02
                nn.init.normal_(parameter, std=std)
            elif name.endswith("bias"):
                nn.init.zeros_(parameter)
        nn.init.zeros_(self.text_position.weight)  # a position never trained must do nothing

    def _embed_text(self, text: torch.Tensor) -> torch.Tensor:
        from_end = torch.arange(text.shape[1] - 1, -1, -1, device=text.device)
        return self.text(text) + self.text_position(from_end)

    def _vectors(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return the vectors of tokens (n, places·parts), (n, places, dim) of each part."""
        return [
            self.image(image[:, part :: self.parts] + part * self.codes)
            for part in range(self.parts)
        ]

    def _embed_image(self, vectors: torch.Tensor, start: int = 0) -> torch.Tensor:
        position = torch.arange(start, start + vectors.shape[-2], device=vectors.device) + 1
        # The token at p is the input that predicts p + 1: it carries the place it predicts.
        rows = (position // self.grid[1]) % self.grid[0]
        return vectors + self.row(rows) + self.column(position % self.grid[1])

    def _mask(self, text: torch.Tensor, image_length: int) -> torch.Tensor:
        """Return who may look at whom, bool (n, 1, length, length): earlier and not padding."""
        length = text.shape[1] + image_length
        seen = F.pad(text != PAD, (0, image_length), value=True)
        causal = torch.ones(length, length, dtype=torch.bool, device=text.device).tril()
        itself = torch.eye(length, dtype=torch.bool, device=text.device)
        return ((causal & seen[:, None, :]) | itself)[:, None]

    def forward(self, text: torch.Tensor, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the logits of the next text tokens and of every image token.

        Parameters
        ----------
        text : Tensor of int64, (n, t)
            Padded on the left.
        image : Tensor of int64, (n, positions)
            The codes of the first place, of the second, and so on.

        Returns
        -------
        Tensor, (n, t − 1, vocabulary) and Tensor, (n, positions, codes)
        """
        t = text.shape[1]
        before = image.shape[1] // self.parts - 1  # places that others come after
        vectors = self._vectors(image if self.parts > 1 else image[:, :-1])
        seen = reduce(torch.add, vectors)[..., :before, :]
        x = torch.cat((self._embed_text(text), self._embed_image(seen)), -2)
        mask = self._mask(text, before)
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        places = x[..., t - 1 :, :]
        logits = [self.image_head(places)]
        for part in range(1, self.parts):
            logits.append(self._further_logits(places, vectors[:part]))
        of_image = logits[0] if self.parts == 1 else torch.stack(logits, -2).flatten(-3, -2)
        return self.text_head(x[..., : t - 1, :]), of_image

    def _further_logits(self, places: torch.Tensor, so_far: list[torch.Tensor]) -> torch.Tensor:
        """Return the logits of the code that comes after those with the vectors ``so_far``."""
        part = len(so_far) - 1
        given = self.further_blocks[part](places, reduce(torch.add, so_far))
        return self.further_heads[part](given)

    def log_likelihood(self, text: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
        """Return log p of every image token in nats, float32 (n, positions)."""
        logits = widened(self(text, image)[1])
        return logits.log_softmax(-1).gather(-1, image[..., None])[..., 0]

    def sample(
        self,
        text: torch.Tensor,
        noise: torch.Tensor,
        temperature: float,
        top_k: int,
        guidance: float = 1.0,
    ) -> torch.Tensor:
        """Draw image tokens by Gumbel-max: argmax of truncated logits / temperature + noise.

        Parameters
        ----------
        text : Tensor of int64, (n, t)
        noise : Tensor of float32, (n, positions, codes)
            Standard Gumbel noise: the same noise gives the same picture.
        temperature : float
        top_k : int
            Only the ``top_k`` most likely codes may be drawn.
        guidance : float
            Classifier-free guidance (Ho and Salimans 2022): logits are those without a caption
            plus this many times what the caption adds. At 1 nothing is computed without a caption.

        Returns
        -------
        Tensor of int64, (n, positions)
        """
        n, positions, _ = noise.shape
        places = positions // self.parts
        guided = guidance != 1
        if guided:  # below, the pictures once more, of a caption that is all padding
            text = torch.cat((text, torch.full_like(text, PAD)))
        length = text.shape[1]
        visible = F.pad(text != PAD, (0, places), value=True)[:, None, None]
        memories = [_Memory(length + places - 1) for _ in self.blocks]
        x = self._embed_text(text)
        mask = self._mask(text, 0)
        for block, memory in zip(self.blocks, memories, strict=True):
            x = block(x, mask, memory)
        tokens = torch.empty(n, positions, dtype=torch.int64, device=text.device)
        for p in range(places):
            place = self.norm(x[:, -1])
            vectors: list[torch.Tensor] = []
            for part in range(self.parts):
                at = p * self.parts + part
                given = self._further_logits(place, vectors) if part else self.image_head(place)
                logits = given.float()
                if guided:
                    told, free = logits.chunk(2)
                    logits = free + guidance * (told - free)
                logits = logits / temperature
                if top_k < logits.shape[-1]:
                    lowest = logits.topk(top_k).values[:, -1:]
                    logits = logits.masked_fill(logits < lowest, -torch.inf)
                tokens[:, at] = (logits + noise[:, at]).argmax(-1)
                vector = self.image(tokens[:, at] + part * self.codes)
                vectors.append(vector.repeat(2, 1) if guided else vector)
            if p + 1 < places:
                x = self._embed_image(reduce(torch.add, vectors)[:, None], start=p)
                for block, memory in zip(self.blocks, memories, strict=True):
                    x = block(x, visible[..., : length + p + 1], memory)
        return tokens


@torch.inference_mode()
def sample(
    model: Transformer, text: np.ndarray, noise: np.ndarray, preset: Preset, batch: int = 64
) -> np.ndarray:
    """Draw image tokens for text tokens (n, t) and noise (n, positions, codes), in batches."""
    where = next(model.parameters()).device
    top_k = max(1, round(preset.top_k * preset.codes))
    parts = []
    for i in range(0, len(text), batch):
        part = torch.from_numpy(text[i : i + batch]).to(where)
        gumbel = torch.from_numpy(noise[i : i + batch]).to(where)
        parts.append(
            model.sample(part, gumbel, preset.temperature, top_k, preset.guidance).cpu().numpy()
        )
    return np.concatenate(parts)


@torch.inference_mode()
def log_likelihood(
    model: Transformer, text: np.ndarray, image: np.ndarray, batch: int = 64
) -> np.ndarray:
    """Return log p of image tokens (n, positions) given text tokens (n, t), nats, float64."""
    where = next(model.parameters()).device
    parts = [
        model.log_likelihood(
            torch.from_numpy(text[i : i + batch]).to(where),
            torch.from_numpy(image[i : i + batch]).to(where),
        )
        .double()
        .cpu()
        .numpy()
        for i in range(0, len(text), batch)
    ]
    return np.concatenate(parts)
