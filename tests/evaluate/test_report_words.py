"""What a report says in words: verdicts, numbers, durations; and what it refuses to say."""

from __future__ import annotations

import math

import pytest

from bactrian.errors import DataError
from bactrian.evaluate import compare
from bactrian.evaluate.report import AdapterFacts, DataFacts, LanguageLabel, Reason, Report
from bactrian.evaluate.report.content import MACRO
from bactrian.evaluate.report.words import (
    METRICS,
    Held,
    conclusions,
    duration,
    metric_of,
    plain,
    signed,
)
from bactrian.schema import Difference

Counts = tuple[int, int, int, int, int, int, int, int]
NAMES = {"zh": "Chinese", "vi": "Vietnamese", "km": "Khmer"}


def share(language: str, value: float, low: float, high: float, n: int = 200) -> Difference:
    return Difference(
        "multi", "base", "xcopa", language, "acc", value, low, high, n, "paired bootstrap"
    )


def cost(language: str, value: float, low: float, high: float, against: str = "base") -> Difference:
    return Difference(
        "multi", against, "held-out", language, "bits_per_byte", value, low, high, 128,
        "paired bootstrap", higher_is_better=False,
    )  # fmt: skip


def held(*differences: Difference) -> tuple[Held, ...]:
    """Return what is said about multi, with plain spaces."""
    report = Report(
        title="", date="", summary="", base="",
        languages=tuple(LanguageLabel(code, name) for code, name in NAMES.items()),
        adapters=(AdapterFacts("multi", tuple(NAMES), 1, 1, 1, 1.0),),
        differences=differences,
    )  # fmt: skip
    [one] = conclusions(report)
    assert one.model == "multi"
    return tuple(
        Held(it.against, it.tally, tuple(said.replace("\xa0", " ") for said in it.sentences))
        for it in one.held
    )


def test_what_is_beyond_the_noise_is_said_first_and_clear_of_zero() -> None:
    [found] = held(
        cost("zh", -0.412, -0.447, -0.378),
        cost("vi", -0.208, -0.231, -0.187),
        cost("km", -0.196, -0.219, -0.171),
        share("zh", 0.01, -0.05, 0.07),
        share("vi", -0.015, -0.075, 0.045),
    )
    assert found.sentences == (
        "Held-out text costs fewer bits per byte than with base in "
        "Chinese (−0.412, 95 % interval −0.447 to −0.378), Vietnamese (−0.208, −0.231 to −0.187) "
        "and Khmer (−0.196, −0.219 to −0.171): all three clear of zero.",
        "XCOPA: no difference from base is beyond the noise "
        "(Chinese +1.0 points, 95 % interval −5.0 to +7.0; Vietnamese −1.5, −7.5 to +4.5).",
    )
    assert found.tally == (("better", 3), ("worse", 0), ("noise", 2))


def test_better_worse_and_noise_of_one_task_are_told_apart() -> None:
    [found] = held(
        share("zh", 0.08, 0.02, 0.14), share("vi", -0.08, -0.14, -0.02), share("km", 0, -0.01, 0.01)
    )
    assert [said.split(" than ")[0].split(" (")[0] for said in found.sentences] == [
        "XCOPA: more right answers",
        "XCOPA: fewer right answers",
        "XCOPA: no difference from base is beyond the noise",
    ]
    assert found.sentences[0].endswith("in Chinese (+8.0 points, 95 % interval +2.0 to +14.0), "
                                       "clear of zero.")  # fmt: skip


def test_each_opponent_has_its_own_tally() -> None:
    base, mono = held(cost("zh", -0.4, -0.5, -0.3), cost("zh", 0.04, 0.02, 0.06, against="mono-zh"))
    assert (base.against, dict(base.tally)) == ("base", {"better": 1, "worse": 0, "noise": 0})
    assert (mono.against, dict(mono.tally)) == ("mono-zh", {"better": 0, "worse": 1, "noise": 0})
    assert mono.sentences[0].startswith("Held-out text costs more bits per byte than with mono-zh")


def test_many_languages_are_given_as_a_range() -> None:
    better = [cost(f"l{k}", -0.3 - k / 100, -0.5, -0.2) for k in range(6)]
    noise = [share(f"l{k}", k / 100, -0.1, 0.1) for k in range(5)]
    [found] = held(*better, *noise)
    assert found.sentences == (
        "Held-out text costs fewer bits per byte than with base in 6 of 6 comparisons, "
        "from −0.350 to −0.300: all six clear of zero.",
        "XCOPA: no difference from base is beyond the noise "
        "(5 of 5 comparisons, from 0.0 to +4.0 points).",
    )


def test_few_items_come_with_a_warning() -> None:
    assert "rests on 12 items" in held(share("zh", 0.5, 0.2, 0.8, n=12))[0].sentences[-1]
    assert "rests on 1 item:" in held(share("zh", 1.0, -math.inf, math.inf, 1))[0].sentences[-1]
    assert len(held(share("zh", 0.5, 0.2, 0.8, n=30))[0].sentences) == 1


def test_an_average_over_languages_is_called_one() -> None:
    assert MACRO == compare.MACRO
    [found] = held(share(MACRO, 0.05, 0.01, 0.09))
    assert "in the average over languages (+5.0 points" in found.sentences[0]


def test_an_adapter_that_was_not_compared_is_not_passed_over() -> None:
    assert held() == ()


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ((100, 100, 99, 90, 8, 1, 80, 10), "90 kept, 8 rejected and 1 missing are 99"),
        ((100, 100, 99, 90, 9, 1, 80, 10), "9 rows were rejected, reasons say 8"),
        ((100, 100, 99, 91, 8, 1, 80, 12), "80 train and 12 validation rows of 91 kept"),
    ],
)
def test_rows_that_are_lost_are_refused(numbers: Counts, says: str) -> None:
    with pytest.raises(DataError, match=says):
        DataFacts("km", *numbers, reasons=(Reason("cut-off", 8),))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.42, "0.4 s"),
        (48.4, "48 s"),
        (59.7, "1 min 0 s"),
        (725, "12 min 5 s"),
        (12_000, "3 h 20 min"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_numbers_in_words() -> None:
    acc, bits = METRICS["acc"], METRICS["bits_per_byte"]
    assert [signed(value, acc) for value in (0.01, -0.05, 0.0)] == ["+1.0", "−5.0", "0.0"]
    assert signed(-0.0, bits) == "0.000"
    assert plain(-1.2345, bits) == "−1.234"
    assert signed(math.inf, acc) == "+∞"
    assert metric_of("chrf").name == "chrf"
