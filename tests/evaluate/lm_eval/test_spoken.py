"""Which language a task of lm-eval is in."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from bactrian.errors import LanguageError
from bactrian.evaluate.lm_eval.spoken import language_of


@pytest.mark.parametrize(
    ("name", "part", "code"),
    [
        ("xcopa_et", "et", "et"),
        ("xcopa_qu", "qu", "qu"),
        ("belebele_tam_Taml", "tam_Taml", "ta"),
        ("belebele_zho_Hans", None, "zh"),
        ("global_mmlu_full_sw_anatomy", "sw", "sw"),
        ("xwinograd_jp", "jp", "ja"),
        ("xnli_de", None, "de"),
        ("mgsm_direct_th", "th", "th"),
        ("m_mmlu_vi", None, "vi"),
        ("my_task", None, None),  # a user's own, not Burmese
        ("hellaswag", None, None),
        ("arc_easy", "ARC-Easy", None),
        ("mmlu_anatomy", "anatomy", None),
        ("th", None, None),
    ],
)
def test_the_name_or_the_datas_part_tells(name: str, part: str | None, code: str | None) -> None:
    found = language_of(name, SimpleNamespace(dataset_name=part))
    assert (found.code if found else None) == code


def test_a_language_that_is_not_ours_is_no_other() -> None:
    with pytest.raises(LanguageError):
        language_of("belebele_ace_Arab", SimpleNamespace(dataset_name="ace_Arab"))
