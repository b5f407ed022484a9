"""Ids that were there: by language, exact, and on disk."""

from __future__ import annotations

import tracemalloc

from bactrian.data.sources.seen import Seen


def test_an_id_is_new_once_in_each_language() -> None:
    with Seen() as seen:
        assert seen.add("en", "alpaca-1")
        assert seen.add("zh", "alpaca-1")
        assert not seen.add("en", "alpaca-1")
        # equal bytes, not equal looks: what a reader takes for one id may be two
        assert seen.add("en", "e\u0301-1")
        assert seen.add("en", "é-1")
        assert seen.add("en", "Alpaca-1")


def test_ids_in_common_are_counted() -> None:
    with Seen() as seen:
        for language, last in (("en", 10), ("zh", 5), ("km", 0)):
            for number in range(last):
                seen.add(language, f"alpaca-{number}")
        seen.add("km", "own-1")
        assert seen.shared_with("en") == {"zh": 5}


def test_memory_is_not_pythons() -> None:
    tracemalloc.start()
    try:
        with Seen() as seen:
            assert all(seen.add("en", f"{number:032x}") for number in range(50_000))
            assert tracemalloc.get_traced_memory()[1] < 1_000_000  # a set of them takes 7 MB
    finally:
        tracemalloc.stop()
