"""Models that our attention is not for keep their own, and say why."""

from __future__ import annotations

from typing import Any

import pytest
from warnings_heard import Heard

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from bactrian import events  # noqa: E402
from bactrian.models.attention import agreement, fast_attention  # noqa: E402

IDS = {"vocab_size": 300, "bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 0}
SMALL: dict[str, Any] = {
    **IDS,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "initializer_range": 0.2,
}


def heard(model: Any) -> tuple[Any, str]:
    reader = Heard()
    with events.reading(reader), fast_attention(model) as attention:
        found = (attention.fast, attention.packs, attention.why)
        if not attention.packs:
            with pytest.raises(ValueError, match="not exact"), attention.documents([3, 4]):
                pass
    return found, "".join(reader.texts)


def test_sinks_keep_the_models_own_attention() -> None:
    config = transformers.GptOssConfig(
        **SMALL, head_dim=8, num_local_experts=4, num_experts_per_tok=2
    )
    (fast, packs, why), said = heard(transformers.GptOssForCausalLM(config).eval())
    assert (fast, packs) == (False, False)
    assert "s_aux" in why
    assert why in said


def test_a_convolution_between_the_tokens_is_noticed() -> None:
    layers = ["conv", "full_attention"]
    config = transformers.Lfm2Config(**SMALL, layer_types=layers)
    model = transformers.Lfm2ForCausalLM(config).eval()
    (fast, packs, why), said = heard(model)
    assert (fast, packs) == (True, False)
    assert "rows are not packed" in why
    assert why in said


def test_layers_out_of_reach_keep_their_own() -> None:
    config = transformers.GPTJConfig(**IDS, n_embd=32, n_layer=2, n_head=4, rotary_dim=4)
    (fast, packs, why), _ = heard(transformers.GPTJForCausalLM(config).eval())
    assert (fast, packs) == (False, False)
    assert "by name" in why


def test_encoder_decoders_are_left_alone() -> None:
    config = transformers.T5Config(vocab_size=300, d_model=32, d_ff=64, num_layers=2, num_heads=4)
    model = transformers.T5ForConditionalGeneration(config)
    with fast_attention(model) as attention:
        assert not attention.fast
        assert "encoder-decoders" in attention.why


@pytest.mark.parametrize(("noise", "limit"), [(0.0, 0.02), (0.045, 0.09), (1.0, 0.12)])
def test_half_precision_is_held_to_the_models_own_noise(noise: float, limit: float) -> None:
    assert agreement.alone_limit(torch.bfloat16, noise) == pytest.approx(limit)
    assert agreement.alone_limit(torch.float32, noise) == 1e-4
