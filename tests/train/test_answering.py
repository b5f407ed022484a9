"""A model asked for -log p gives what its own logits say, and is itself again afterwards."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from bactrian.events import Event, reading  # noqa: E402
from bactrian.train.answering import answering  # noqa: E402

SMALL = {"vocab_size": 60, "pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0}
T5 = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2, "dropout_rate": 0.0}
LLAMA = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "initializer_range": 0.3,
}
SOURCE = torch.tensor([[5, 9, 33, 1, 0, 0], [8, 7, 6, 5, 4, 1]])
TARGET = torch.tensor([[12, 40, 1, -100], [3, 22, 17, 1]])


class Warnings:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def see(self, event: Event) -> None:
        if event.kind == "warning":
            self.texts.append(event.facts["text"])


def paired(family: str, **more: Any) -> Any:
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **T5, **more})
    torch.manual_seed(2)
    model = getattr(transformers, f"{family}ForConditionalGeneration")(config).eval()
    for weights in model.parameters():
        torch.nn.init.normal_(weights.data, 0.0, 0.3)
    return model


def asked() -> dict[str, Any]:
    said = torch.tensor([[0, 12, 40, 0], [0, 3, 22, 17]])
    where = TARGET.flatten() >= 0
    return {
        "input_ids": SOURCE,
        "attention_mask": (SOURCE > 0).long(),
        "decoder_input_ids": said,
        "at": where.nonzero().flatten(),
        "targets": TARGET.flatten()[where],
    }


@pytest.mark.parametrize(
    ("family", "more"),
    [
        ("T5", {}),
        ("T5", {"tie_word_embeddings": False}),
        ("MT5", {"feed_forward_proj": "gated-gelu"}),
    ],
)
def test_an_encoder_decoders_loss_is_its_own_with_labels(family: str, more: dict[str, Any]) -> None:
    model, told = paired(family, **more), asked()
    own = model(
        input_ids=told["input_ids"], attention_mask=told["attention_mask"], labels=TARGET
    ).loss
    own.backward()
    expected = {name: weights.grad.clone() for name, weights in model.named_parameters()}
    model.zero_grad()
    warnings = Warnings()
    with reading(warnings), answering(model):
        loss = model(**told).mean()
        loss.backward()
    assert warnings.texts == []
    torch.testing.assert_close(loss, own, rtol=1e-5, atol=1e-5)
    for name, weights in model.named_parameters():
        torch.testing.assert_close(weights.grad, expected[name], rtol=1e-3, atol=1e-5)


def test_padding_of_the_source_changes_nothing() -> None:
    model, told = paired("T5"), asked()
    longer = {
        "input_ids": torch.nn.functional.pad(SOURCE, (0, 5)),
        "attention_mask": torch.nn.functional.pad(told["attention_mask"], (0, 5)),
    }
    with answering(model), torch.no_grad():
        torch.testing.assert_close(model(**{**told, **longer}), model(**told))


def test_no_logits_are_made_for_the_whole_batch() -> None:
    model, told = paired("T5"), asked()
    rows: list[int] = []
    with answering(model):
        hook = model.lm_head.register_forward_hook(lambda *given: rows.append(given[2].numel()))
        model(**told)
        hook.remove()
    assert rows[0] == 0
    assert sum(rows) == 7 * SMALL["vocab_size"]


def test_without_targets_it_is_the_model_and_so_it_is_afterwards() -> None:
    config = transformers.LlamaConfig(**{**SMALL, **LLAMA})
    model = transformers.LlamaForCausalLM(config).eval()
    with torch.no_grad():
        plain = model(input_ids=SOURCE).logits
        with answering(model):
            assert torch.equal(model(input_ids=SOURCE).logits, plain)
        assert torch.equal(model(input_ids=SOURCE).logits, plain)
    assert "forward" not in vars(model)
    with pytest.raises(ValueError, match="broken"), answering(model):
        raise ValueError("broken")
    assert "forward" not in vars(model)


def test_a_model_that_does_more_after_its_head_gets_the_plain_way() -> None:
    """Its logits are taken; a warning says so."""
    config = transformers.LlamaConfig(**{**SMALL, **LLAMA})
    torch.manual_seed(2)
    model = transformers.LlamaForCausalLM(config).eval()
    plain = type(model).forward

    class Odd(type(model)):  # type: ignore[misc]
        def forward(self, *given: Any, **named: Any) -> Any:
            found = plain(self, *given, **named)
            found.logits = found.logits * torch.linspace(0.2, 3, found.logits.shape[-1])
            return found

    model.__class__ = Odd
    at, targets = torch.tensor([1, 3, 8]), torch.tensor([9, 2, 50])
    warnings = Warnings()
    with reading(warnings), answering(model), torch.no_grad():
        found = model(input_ids=SOURCE, at=at, targets=targets)
    with torch.no_grad():
        logits = model(input_ids=SOURCE).logits.flatten(0, 1)[at]
    expected = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
    torch.testing.assert_close(found, expected)
    assert len(warnings.texts) == 1
    assert "the plain way is used" in warnings.texts[0]


def test_an_encoder_decoder_that_does_more_after_its_head_gets_the_plain_way() -> None:
    model, told = paired("T5"), asked()
    plain = type(model).forward

    class Odd(type(model)):  # type: ignore[misc]
        def forward(self, *given: Any, **named: Any) -> Any:
            found = plain(self, *given, **named)
            found.logits = found.logits * 2
            return found

    model.__class__ = Odd
    warnings = Warnings()
    with reading(warnings), answering(model), torch.no_grad():
        found = model(**told)
        logits = plain(
            model,
            input_ids=told["input_ids"],
            attention_mask=told["attention_mask"],
            decoder_input_ids=told["decoder_input_ids"],
        ).logits
    chosen = 2 * logits.flatten(0, 1)[told["at"]]
    expected = torch.nn.functional.cross_entropy(chosen, told["targets"], reduction="none")
    torch.testing.assert_close(found, expected)
    assert len(warnings.texts) == 1
