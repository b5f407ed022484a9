"""Our attention inside models: padded, packed, checkpointed, with LoRA; and gone afterwards."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from torch.nn.functional import cross_entropy  # noqa: E402

from bactrian.models.adapters import hushed  # noqa: E402
from bactrian.models.attention import fast_attention  # noqa: E402
from bactrian.models.attention.scores import positions  # noqa: E402

SMALL = {"vocab_size": 300, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
COMMON: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}
UNGROUPED = {key: told for key, told in COMMON.items() if key not in ("head_dim",)}
SINGLE = {key: told for key, told in UNGROUPED.items() if key != "num_key_value_heads"}
OPT: dict[str, Any] = {"ffn_dim": 64, "word_embed_proj_dim": 32, "init_std": 0.2, "dropout": 0.0}
OPT |= {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
FALCON: dict[str, Any] = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
FALCON["initializer_range"] = 0.2
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("Llama", COMMON),
    "mistral": ("Mistral", {**COMMON, "sliding_window": 8}),
    "qwen3": ("Qwen3", COMMON),
    "gemma2": ("Gemma2", {**COMMON, "sliding_window": 8, "attn_logit_softcapping": 5.0}),
    "gemma3": ("Gemma3Text", {**COMMON, "sliding_window": 8}),
    "cohere2": ("Cohere2", {**COMMON, "sliding_window": 8}),
    "granite": ("Granite", {**UNGROUPED, "attention_multiplier": 0.5}),
    "gpt-neox": ("GPTNeoX", SINGLE),
    "opt": ("OPT", OPT),
    "bloom": ("Bloom", {"hidden_size": 32, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}),
    "falcon": ("Falcon", FALCON),
    "falcon-rw": ("Falcon", {**FALCON, "alibi": True, "multi_query": False}),
}
LENGTHS = (17, 40, 1, 29)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def model_of(name: str, **changed: Any) -> Any:
    """Return a fresh model in float32, the same weights at every call."""
    family, own = MODELS[name]
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **own, **changed})
    kind = getattr(transformers, family.replace("Text", "") + "ForCausalLM")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = kind(config).eval()
        for weights in model.parameters():  # norms and biases count as well
            if weights.dim() == 1:
                torch.nn.init.normal_(weights.data, 0.5, 0.3)
    return model


def documents() -> list[Any]:
    maker = torch.Generator().manual_seed(5)
    return [torch.randint(2, 300, (length,), generator=maker) for length in LENGTHS]


def with_lora(model: Any, *targets: str) -> Any:
    peft = pytest.importorskip("peft")
    with torch.random.fork_rng(devices=[]), hushed():
        torch.manual_seed(7)
        adapted = peft.get_peft_model(
            model, peft.LoraConfig(r=4, target_modules=list(targets), task_type="CAUSAL_LM")
        )
        for name, weights in adapted.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights.data, std=0.1)
    return adapted


def nats(hidden: Any, model: Any, ids: Any) -> Any:
    """Return -log p [length - 1] of one document at its own hidden states [length, width]."""
    head = model.get_output_embeddings()
    return cross_entropy(head(hidden[:-1]).float(), ids[1:], reduction="none")


def body_of(model: Any) -> Any:
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).base_model


def alone(model: Any, rows: Sequence[Any]) -> list[Any]:
    body = body_of(model)
    states = [body(input_ids=ids[None], use_cache=False).last_hidden_state[0] for ids in rows]
    return [nats(hidden, model, ids) for hidden, ids in zip(states, rows, strict=True)]


def in_one_row(model: Any, rows: Sequence[Any], **told: Any) -> list[Any]:
    lengths = [len(ids) for ids in rows]
    places = torch.tensor([positions(lengths)])
    found = body_of(model)(
        input_ids=torch.cat(list(rows))[None], position_ids=places, use_cache=False, **told
    ).last_hidden_state[0]
    return [
        nats(hidden, model, ids) for hidden, ids in zip(found.split(lengths), rows, strict=True)
    ]


def in_one_batch(model: Any, rows: Sequence[Any]) -> list[Any]:
    ids = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.long)
    for row, given in zip(ids, rows, strict=True):
        row[: len(given)] = given
    found = body_of(model)(input_ids=ids, use_cache=False).last_hidden_state
    return [
        nats(hidden[: len(given)], model, given) for hidden, given in zip(found, rows, strict=True)
    ]


def slopes_of(model: Any, found: Sequence[Any]) -> dict[str, Any]:
    model.zero_grad()
    torch.cat(list(found)).mean().backward()
    return {
        name: weights.grad.clone()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }


def distance(mine: dict[str, Any], theirs: dict[str, Any]) -> float:
    assert mine.keys() == theirs.keys()
    assert theirs
    most = max(float(slope.norm()) for slope in theirs.values())  # some are zero but for rounding
    return max(
        float((mine[name] - slope).norm() / slope.norm().clamp_min(1e-3 * most))
        for name, slope in theirs.items()
    )


@pytest.mark.parametrize("name", MODELS)
def test_packed_and_padded_rows_are_what_documents_are_alone(name: str) -> None:
    plain, model, rows = model_of(name), model_of(name), documents()
    right = alone(plain, rows)
    slopes = slopes_of(plain, right)
    model.train()  # no dropout in these models but BLOOM's, which is zero
    with fast_attention(model) as attention:
        assert attention.fast
        assert attention.packs, attention.why
        assert model.training
        with attention.documents([len(ids) for ids in rows]):
            packed = in_one_row(model, rows)
            packed_slopes = slopes_of(model, packed)
        with attention.documents(None):
            padded = in_one_batch(model, rows)
            padded_slopes = slopes_of(model, padded)
    for mine in (packed, padded):
        for found, told in zip(mine, right, strict=True):
            assert torch.allclose(found, told, atol=2e-4, rtol=1e-4)
    assert distance(packed_slopes, slopes) < 1e-3
    assert distance(padded_slopes, slopes) < 1e-3


@pytest.mark.parametrize("name", ["llama", "bloom", "gemma2", "opt"])
def test_the_naive_packed_row_is_contaminated(name: str) -> None:
    model, rows = model_of(name), documents()
    right = torch.cat(alone(model, rows))
    mask = torch.ones(1, sum(LENGTHS), dtype=torch.long)
    naive = torch.cat(in_one_row(model, rows, attention_mask=mask))
    assert (naive - right).abs().max() > 0.01
    with fast_attention(model) as attention, attention.documents([sum(LENGTHS)]):
        one_document = torch.cat(in_one_row(model, rows))
    assert (one_document - right).abs().max() > 0.01  # the documents told make the difference


@pytest.mark.parametrize(
    ("name", "targets"),
    [
        ("llama", ("q_proj", "v_proj")),
        ("bloom", ("query_key_value", "dense")),
        ("gemma2", ("q_proj", "o_proj")),
    ],
)
@pytest.mark.parametrize("reentrant", [True, False])
def test_lora_with_checkpointing_gives_the_gradients_of_the_plain_model(
    name: str, targets: tuple[str, ...], reentrant: bool
) -> None:
    rows = documents()
    plain = with_lora(model_of(name), *targets)
    slopes = slopes_of(plain, alone(plain, rows))
    model = with_lora(model_of(name), *targets).train()
    model.enable_input_require_grads()
    with warnings.catch_warnings():  # newer transformers call it by another name
        warnings.simplefilter("ignore", FutureWarning)
        model.gradient_checkpointing_enable({"use_reentrant": reentrant})
    with fast_attention(model) as attention:
        assert attention.packs
        with attention.documents([len(ids) for ids in rows]):
            found = slopes_of(model, in_one_row(model, rows))
    assert distance(found, slopes) < 1e-3


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("fails", [False, True])
def test_the_model_is_as_it_was(name: str, fails: bool) -> None:
    model = model_of(name)
    ids = documents()[1][None]
    before, own = model(ids, use_cache=False).logits, model.config._attn_implementation
    names = set(transformers.AttentionInterface().keys())
    classes = {type(module): dict(vars(type(module))) for module in model.modules()}
    attributes = [set(vars(module)) for module in model.modules()]
    try:
        with fast_attention(model):
            assert model.config._attn_implementation != own
            if fails:
                raise KeyError("in the block")
    except KeyError:
        assert fails
    assert model.config._attn_implementation == own
    assert set(transformers.AttentionInterface().keys()) == names
    assert all(dict(vars(kind)) == told for kind, told in classes.items())
    assert [set(vars(module)) for module in model.modules()] == attributes
    assert torch.equal(model(ids, use_cache=False).logits, before)


@pytest.mark.parametrize("name", ["llama", "bloom", "gemma2", "falcon-rw"])
def test_masks_and_caches_go_the_models_own_way(name: str) -> None:
    model, rows = model_of(name), documents()
    ids = torch.stack([rows[1][:20], rows[3][:20]])
    mask = torch.ones_like(ids)
    mask[0, :5] = 0  # padded on the left, as for generating
    told = {"max_new_tokens": 4, "do_sample": False}
    right = model.generate(ids, attention_mask=mask, **told)
    states = model(ids, attention_mask=mask).logits[mask.bool()]
    with fast_attention(model):
        assert torch.equal(model.generate(ids, attention_mask=mask, **told), right)
        assert torch.allclose(model(ids, attention_mask=mask).logits[mask.bool()], states)


def test_no_mask_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import masking_utils

    model, rows = model_of("gemma3"), documents()

    def made(**asked: Any) -> Any:
        raise AssertionError("a mask was made")

    with fast_attention(model) as attention:
        for name in ("sdpa", "eager"):
            monkeypatch.setitem(masking_utils.AttentionMaskInterface._global_mapping, name, made)
        with attention.documents([len(ids) for ids in rows]):
            in_one_row(model, rows)
        with attention.documents(None):
            in_one_batch(model, rows)


def test_dropout_of_attention_is_applied_in_training() -> None:
    model, ids = model_of("bloom", attention_dropout=0.5), documents()[1][None]
    with fast_attention(model) as attention:
        assert attention.packs
        first, second = (body_of(model)(input_ids=ids).last_hidden_state for _ in range(2))
        assert torch.equal(first, second)
        model.train()
        first, second = (body_of(model)(input_ids=ids).last_hidden_state for _ in range(2))
        assert not torch.allclose(first, second)


@pytest.mark.parametrize("wrong", ["window", "cap", "scale", "documents", "late window"])
def test_a_kernel_that_is_wrong_is_not_used(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from bactrian.models.attention import ways

    right: Callable[..., Any] = ways.BLOCKS.attend

    def attend(query: Any, key: Any, value: Any, scores: Any, documents: Any) -> Any:
        changed = {
            "window": {"window": None},
            "late window": {"window": scores.window and scores.window + 1},
            "cap": {"cap": None},
            "scale": {"scale": scores.scale * 0.8},
        }
        scores = replace(scores, **changed.get(wrong, {}))
        return right(query, key, value, scores, None if wrong == "documents" else documents)

    planted = replace(ways.BLOCKS, attend=attend)
    monkeypatch.setattr(ways, "ON_CPU", (planted, ways.ALWAYS))
    with fast_attention(model_of("gemma2")) as attention:
        assert attention.ways == (ways.ALWAYS,)
        assert attention.packs
    monkeypatch.setattr(ways, "ON_CPU", (planted,))
    with fast_attention(model_of("gemma2")) as attention:
        assert not attention.packs
        assert attention.why


def test_documents_have_to_make_the_row() -> None:
    model, rows = model_of("llama"), documents()
    with fast_attention(model) as attention:
        with pytest.raises(ValueError, match="one row of 9"), attention.documents([4, 5]):
            in_one_row(model, rows)
        with pytest.raises(ValueError, match="at least one"), attention.documents([4, 0]):
            pass
        in_one_batch(model, rows)  # what was told is forgotten
