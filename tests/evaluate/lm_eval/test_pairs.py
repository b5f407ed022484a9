"""Pairs of texts as token ids, against those of lm-eval's own model class."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian.evaluate.lm_eval.pairs import AT_ONCE, Join, PairEncoder, tally
from bactrian.models import base

huggingface = pytest.importorskip("lm_eval.models.huggingface")
TOKENIZERS = Path(__file__).parents[4] / "shared" / "data" / "tokenizers"
PAIRS = [
    ("我的身体在草地上投下阴影，因为", "太阳升起了。"),
    ("ร่างของฉันทอดเงาลงบนพื้นหญ้าเพราะ", "พระอาทิตย์กำลังขึ้น"),
    ("Minu keha heitis rohule varju sest", " päike tõusis."),
    ("Minu keha heitis rohule varju sest ", "päike tõusis."),
    ("ظلّ جسدي على العشب لأن", " الشمس أشرقت."),
    ("Two spaces  ", "stand here"),
    ("A line ends\n", "and goes on"),
    ("A wide space\u3000", "stands here"),
    ("", "sun"),
    ("", " sun"),
    ("  ", "sun"),
    ("<s>Begun already", " and on"),
    ("", "<s>begun"),
]


@pytest.fixture(scope="module")
def loaded(tiny_base: Path) -> base.Base:
    return base.load(str(tiny_base), dtype="float32")


def theirs(loaded: base.Base, pairs: Sequence[tuple[str, str]], **told: Any) -> list[Any]:
    """Return what lm-eval would hand to its model."""
    model = huggingface.HFLM(
        pretrained=loaded.model, tokenizer=told.pop("tokenizer", loaded.tokenizer), **told
    )
    seen: list[Any] = []
    model._loglikelihood_tokens = lambda requests, **_: seen.extend(requests)
    model.loglikelihood([SimpleNamespace(args=pair) for pair in pairs], disable_tqdm=True)
    return [(tuple(context), tuple(after)) for _, context, after in seen]


def ours(encoder: PairEncoder, pairs: Sequence[tuple[str, str]]) -> list[Any]:
    return [(join.context, join.continuation) for join in encoder.pairs(pairs)]


@pytest.mark.parametrize("add_bos", [None, True, False])
def test_ids_are_those_of_lm_eval(loaded: base.Base, add_bos: bool | None) -> None:
    pairs = [pair for pair in PAIRS if not (add_bos is False and pair == ("  ", "sun"))]
    encoder = PairEncoder(loaded.tokenizer, 0, add_bos)
    assert ours(encoder, pairs) == theirs(loaded, pairs, add_bos_token=add_bos)
    assert tally(encoder.pairs(pairs)) == {"spanned": 0, "empty": 0}


def test_a_prefix_of_ones_own_stands_before_what_has_nothing_before_it(loaded: base.Base) -> None:
    pairs = [("", "sun"), ("The", " sun")]
    assert ours(PairEncoder(loaded.tokenizer, 1), pairs) == theirs(loaded, pairs, prefix_token_id=1)


def test_white_space_alone_follows_the_prefix_where_lm_eval_ends(loaded: base.Base) -> None:
    """It asserts that a context has tokens, and this one has none without BOS."""
    (join,) = PairEncoder(loaded.tokenizer, 0, add_bos=False).pairs([("  ", "sun")])
    assert join.context == (0,)
    assert loaded.tokenizer.decode(join.continuation) == "  sun"


@pytest.mark.parametrize("name", ["llama", "mbart50"])
def test_ids_are_those_of_lm_eval_with_real_tokenizers(
    name: str, loaded: base.Base, sentences: Mapping[str, Sequence[str]], tmp_path: Path
) -> None:
    """Sentences of 52 languages, one continuing the other with and without a space."""
    tokenizer = real(name, tmp_path)
    pairs = [
        pair
        for one, two, three, *_ in sentences.values()
        for pair in ((one, " " + two), (one + " ", three), (two, three[:9]), ("", one))
    ]
    encoder = PairEncoder(tokenizer, tokenizer.bos_token_id)
    told = theirs(loaded, pairs, tokenizer=tokenizer)
    joins = list(encoder.pairs(pairs))
    differing = [
        place
        for place, (join, their) in enumerate(zip(joins, told, strict=True))
        if (join.context, join.continuation) != their
    ]
    assert all(joins[place].spanned for place in differing), "only the hole is closed"
    assert len(joins) == len(pairs) == 208


def real(name: str, folder: Path) -> Any:
    """Return a published tokenizer, or skip."""
    import gzip
    import shutil

    from transformers import AutoTokenizer

    source = TOKENIZERS / name
    if not source.is_dir():
        pytest.skip(f"the tokenizers are not beside this checkout (shared/data/tokenizers/{name})")
    for path in source.iterdir():
        if path.suffix == ".gz":
            with gzip.open(path) as packed, (folder / path.stem).open("wb") as plain:
                shutil.copyfileobj(packed, plain)
        else:
            shutil.copy(path, folder)
    return AutoTokenizer.from_pretrained(folder)


def spanning(tokenizer: Any) -> tuple[str, str]:
    """Return two letters that are one token together."""
    pairs = (word for word in tokenizer.get_vocab() if len(word) == 2 and word.isalpha())
    first, second = next(word for word in pairs if word.isascii())
    return first, second


def test_a_token_that_spans_the_join_is_counted_and_avoided(loaded: base.Base) -> None:
    """lm-eval hands on a continuation without tokens here, and ends with an AssertionError."""
    pair = spanning(loaded.tokenizer)
    ((_, after),) = theirs(loaded, [pair])
    assert after == ()
    joins = list(PairEncoder(loaded.tokenizer, 0).pairs([pair, ("The", " sun")]))
    assert tally(joins) == {"spanned": 1, "empty": 0}
    assert loaded.tokenizer.decode(joins[0].context[1:]) == pair[0]
    assert loaded.tokenizer.decode(joins[0].continuation) == pair[1]


def test_nothing_to_score_is_counted(loaded: base.Base) -> None:
    joins = list(PairEncoder(loaded.tokenizer, 0).pairs([("The sun", ""), ("", "")]))
    assert joins[0] == Join(tuple(loaded.tokenizer.encode("The sun")), (), spanned=False)
    assert [join.request for join in joins] == [None, None]
    assert tally(joins) == {"spanned": 0, "empty": 2}


def test_order_is_kept_over_several_portions(loaded: base.Base) -> None:
    pairs = [(f"The sun {number % 7}", f" rose {number}") for number in range(2 * AT_ONCE + 3)]
    joins = list(PairEncoder(loaded.tokenizer, 0).pairs(iter(pairs)))
    told = [loaded.tokenizer.decode((*join.context[1:], *join.continuation)) for join in joins]
    assert told == ["".join(pair) for pair in pairs]


def test_options_of_a_question_share_the_ids_of_its_context(loaded: base.Base) -> None:
    """Kept once: 80,000 options of long prompts would hold gigabytes of them otherwise."""
    one, two = PairEncoder(loaded.tokenizer, 0).pairs([("The sun", " rose"), ("The sun", " set")])
    assert one.context is two.context


def test_a_text_closed_by_its_tokenizer_is_opened_again(loaded: base.Base) -> None:
    class Closing:
        """Puts EOS after every text, as some tokenizers do."""

        bos_token, bos_token_id = "<s>", 0
        eos_token, eos_token_id = "</s>", 1

        def __call__(self, texts: list[str], add_special_tokens: bool = True) -> Any:
            ids = loaded.tokenizer(texts, add_special_tokens=add_special_tokens)["input_ids"]
            return {"input_ids": [[*one, 1] if add_special_tokens else one for one in ids]}

        decode: Callable[..., str] = staticmethod(loaded.tokenizer.decode)

    (join,) = PairEncoder(Closing(), 0).pairs([("The sun", " rose")])
    assert join.spanned
    assert 1 not in join.context
    assert loaded.tokenizer.decode(join.continuation) == " rose"
