"""What the CUDA kernels are told, held against every score; and the kernels, where there are any.

Without a device torch's flex_attention runs uncompiled, and stand-ins read the arguments of the
variable-length kernels as their documentation has them.
"""

from __future__ import annotations

from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from bactrian.models.attention import cuda, sdpa, ways  # noqa: E402
from bactrian.models.attention.families import slopes  # noqa: E402
from bactrian.models.attention.scores import Documents, Scores  # noqa: E402

PACKED = (3, 40, 1, 130, 26)
SCORES: dict[str, dict[str, Any]] = {
    "plain": {},
    "window": {"window": 20},
    "cap": {"cap": 4.0},
    "ALiBi": {"slopes": slopes(4)},
}


def made(device: str = "cpu", kind: Any = torch.float32, rows: int = 1) -> tuple[Any, Any, Any]:
    maker = torch.Generator().manual_seed(3)
    length = sum(PACKED)
    shapes = [(rows, length, heads, 64) for heads in (4, 2, 2)]
    states = [torch.randn(shape, generator=maker).to(device, kind) for shape in shapes]
    query, key, value = (tensor.transpose(1, 2) for tensor in states)
    return query, key, value


def one(query: Any, key: Any, value: Any, scores: Scores) -> Any:
    """Attend as flash-attn says: [tokens, heads, width], one document."""
    given: list[Any] = [tensor.transpose(0, 1)[None] for tensor in (query, key, value)]
    return sdpa.attend(given[0], given[1], given[2], scores, None)[0]


def stand_in(taken: dict[str, Any]) -> Any:
    """Return a function that computes what the variable-length kernels document."""

    def kernel(query: Any, key: Any, value: Any, scores: Scores, bounds: Any) -> Any:
        taken["dtype"] = bounds.dtype
        spans = [slice(*span) for span in pairwise(bounds.tolist())]
        return torch.cat([one(query[at], key[at], value[at], scores) for at in spans])

    return kernel


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", ["plain", "window"])
def test_torchs_variable_length_kernel_is_told_all(
    name: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    varlen = pytest.importorskip("torch.nn.attention.varlen")
    taken: dict[str, Any] = {}

    def varlen_attn(
        query: Any,
        key: Any,
        value: Any,
        cu_seq_q: Any,
        cu_seq_k: Any,
        max_q: int,
        max_k: int,
        *,
        scale: float,
        window_size: tuple[int, int],
        enable_gqa: bool,
    ) -> Any:
        assert enable_gqa
        assert torch.equal(cu_seq_q, cu_seq_k)
        assert max_q == max_k == int(cu_seq_q.diff().max())
        assert window_size[1] == 0  # causal
        window = None if window_size[0] < 0 else window_size[0] + 1
        return stand_in(taken)(query, key, value, Scores(scale, window), cu_seq_q)

    monkeypatch.setattr(varlen, "varlen_attn", varlen_attn)
    scores = Scores(0.2, **SCORES[name])
    documents = Documents(PACKED) if packed else None
    states = made(rows=1 if packed else 3)
    found = cuda.varlen(*states, scores, documents)
    assert torch.allclose(found, sdpa.attend(*states, scores, documents), atol=1e-5)
    assert taken["dtype"] == torch.int32


@pytest.mark.parametrize("name", SCORES)
def test_flash_attn_is_told_all(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: dict[str, Any] = {}

    def flash_attn_varlen_func(
        query: Any,
        key: Any,
        value: Any,
        *,
        cu_seqlens_q: Any,
        cu_seqlens_k: Any,
        max_seqlen_q: int,
        max_seqlen_k: int,
        dropout_p: float,
        softmax_scale: float,
        causal: bool,
        window_size: tuple[int, int],
        softcap: float,
        alibi_slopes: Any,
    ) -> Any:
        assert causal
        assert not dropout_p
        assert torch.equal(cu_seqlens_q, cu_seqlens_k)
        assert max_seqlen_q == max_seqlen_k == max(PACKED)
        window = None if window_size == (-1, -1) else window_size[0] + 1
        scores = Scores(softmax_scale, window, softcap or None, alibi_slopes)
        return stand_in(taken)(query, key, value, scores, cu_seqlens_q)

    package = SimpleNamespace(flash_attn_varlen_func=flash_attn_varlen_func)
    monkeypatch.setattr(cuda, "import_module", lambda name: package)
    scores = Scores(0.2, **SCORES[name])
    states, documents = made(), Documents(PACKED)
    found = cuda.flash(*states, scores, documents)
    assert torch.allclose(found, sdpa.attend(*states, scores, documents), atol=1e-5)
    cuda._flash_takes.cache_clear()
    assert {"softcap", "alibi_slopes"} <= cuda._flash_takes()
    cuda._flash_takes.cache_clear()


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", SCORES)
def test_flex_attention_computes_the_same(
    name: str, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    flex = pytest.importorskip("torch.nn.attention.flex_attention")
    monkeypatch.setattr(cuda, "_compiled_flex", lambda: flex.flex_attention)
    monkeypatch.setattr(flex, "_warn_once", lambda *told, **more: None, raising=False)
    scores = Scores(0.2, **SCORES[name])
    documents = Documents(PACKED) if packed else None
    states = made(rows=1 if packed else 2)
    found = cuda.flex(*states, scores, documents)
    assert torch.allclose(found, sdpa.attend(*states, scores, documents), atol=1e-5)


def test_nothing_of_cuda_takes_tensors_of_a_cpu() -> None:
    states = made(kind=torch.bfloat16)
    for way in ways.ON_CUDA[1:-1]:
        assert not way.handles(*states, Scores(0.1), Documents(PACKED))
    assert ways.ways(torch.device("cuda"))[-1] == ways.ALWAYS
    assert ways.ways(torch.device("mps")) == (ways.ALWAYS,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("way", ways.ON_CUDA, ids=lambda way: way.name)
def test_kernels_on_the_device(way: Any, name: str, packed: bool) -> None:
    scores = Scores(0.2, **SCORES[name])
    documents = Documents(PACKED) if packed else None
    states = made("cuda", torch.bfloat16, 1 if packed else 2)
    for tensor in states:
        tensor.requires_grad_()
    if not way.handles(*states, scores, documents):
        pytest.skip(f"{way.name} does not take these")
    query, key, value = (tensor.detach().double().cpu().requires_grad_() for tensor in states)
    right = (query, key, value)
    found, told = way.attend(*states, scores, documents), sdpa.attend(*right, scores, documents)
    slope = torch.linspace(-1, 1, found.numel()).view(found.shape)
    mine = torch.autograd.grad(found, states, slope.to(found))
    theirs = torch.autograd.grad(told, right, slope.double())
    for one_, other in zip((found, *mine), (told, *theirs), strict=True):
        assert (one_.double().cpu() - other).norm() < 0.02 * other.norm()
