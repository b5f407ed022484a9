"""A forward pass from consolidated.00.pth and params.json alone, in the formulas of LLaMA's paper.

Rotary positions are complex numbers, as Meta's code has them; nothing of transformers is used.
"""

from __future__ import annotations

import json
import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch


def width(told: dict[str, Any]) -> int:
    """Meta's formula for the feed-forward width."""
    hidden = int(2 * 4 * told["dim"] / 3)
    if told.get("ffn_dim_multiplier") is not None:
        hidden = int(told["ffn_dim_multiplier"] * hidden)
    multiple = int(told["multiple_of"])
    return multiple * ((hidden + multiple - 1) // multiple)


def rotations(told: dict[str, Any], positions: int) -> torch.Tensor:
    head = told["dim"] // told["n_heads"]
    theta = told.get("rope_theta", 10000.0)
    speeds = 1.0 / theta ** (torch.arange(0, head, 2).double() / head)
    if told.get("use_scaled_rope"):
        speeds = torch.stack([_slower(speed) for speed in speeds])
    angles = torch.outer(torch.arange(positions).double(), speeds)
    return torch.polar(torch.ones_like(angles), angles).to(torch.complex64)


def _slower(speed: torch.Tensor) -> torch.Tensor:
    wave = 2 * math.pi / speed
    if wave < 8192 / 4:
        return speed
    if wave > 8192 / 1:
        return speed / 8
    part = (8192 / wave - 1) / (4 - 1)
    return (1 - part) * speed / 8 + part * speed


def rotate(heads: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Neighbouring values [2 i, 2 i + 1] of a head are one complex number."""
    pairs = torch.view_as_complex(heads.float().reshape(*heads.shape[:-1], -1, 2))
    return torch.view_as_real(pairs * turns[:, None, :]).flatten(-2)


def norm(values: torch.Tensor, weight: torch.Tensor, eps: float) -> torch.Tensor:
    return values * torch.rsqrt(values.pow(2).mean(-1, keepdim=True) + eps) * weight


@lru_cache(maxsize=1)
def _weights(file: Path, written: int) -> dict[str, torch.Tensor]:
    """Read once for many tokens; ``written`` tells another file in its place."""
    read = torch.load(file, weights_only=True, mmap=True)
    return {name: tensor.float() for name, tensor in read.items()}


def logits(folder: Path, ids: list[int]) -> torch.Tensor:
    """Return the logits [positions, vocabulary] of one text, in float32."""
    told = json.loads((folder / "params.json").read_text())
    file = folder / "consolidated.00.pth"
    weights = _weights(file, file.stat().st_mtime_ns)
    eps, turns = told["norm_eps"], rotations(told, len(ids))
    x = weights["tok_embeddings.weight"][ids]
    mask = torch.full((len(ids), len(ids)), float("-inf")).triu(1)
    for layer in range(told["n_layers"]):
        own = {
            name.removeprefix(f"layers.{layer}."): tensor
            for name, tensor in weights.items()
            if name.startswith(f"layers.{layer}.")
        }
        assert own["feed_forward.w1.weight"].shape[0] == width(told)
        x = x + _attend(norm(x, own["attention_norm.weight"], eps), own, told, turns, mask)
        y = norm(x, own["ffn_norm.weight"], eps)
        gate = torch.nn.functional.silu(y @ own["feed_forward.w1.weight"].T)
        x = x + (gate * (y @ own["feed_forward.w3.weight"].T)) @ own["feed_forward.w2.weight"].T
    return norm(x, weights["norm.weight"], eps) @ weights["output.weight"].T


def _attend(
    x: torch.Tensor,
    own: dict[str, torch.Tensor],
    told: dict[str, Any],
    turns: torch.Tensor,
    mask: torch.Tensor,
) -> torch.Tensor:
    heads, keys = told["n_heads"], told.get("n_kv_heads", told["n_heads"])
    head = told["dim"] // heads
    q = rotate((x @ own["attention.wq.weight"].T).view(-1, heads, head), turns)
    k = rotate((x @ own["attention.wk.weight"].T).view(-1, keys, head), turns)
    v = (x @ own["attention.wv.weight"].T).view(-1, keys, head)
    k, v = (one.repeat_interleave(heads // keys, dim=1) for one in (k, v))
    scores = torch.einsum("qhd,khd->hqk", q, k) / math.sqrt(head) + mask
    found = torch.einsum("hqk,khd->qhd", scores.softmax(-1), v)
    return found.reshape(len(x), -1) @ own["attention.wo.weight"].T


def greedy(folder: Path, ids: list[int], count: int) -> list[int]:
    """Return the next ``count`` tokens, each the most likely one."""
    told = list(ids)
    for _ in range(count):
        told.append(int(logits(folder, told)[-1].argmax()))
    return told[len(ids) :]
