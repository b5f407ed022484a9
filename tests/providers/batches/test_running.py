"""Money that is set aside for what is out, and what a later run makes of it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from bactrian.errors import BudgetError, ProviderError
from bactrian.ledger.batches import Batches, abandon, unfinished
from bactrian.providers import Price
from bactrian.providers.batches.collecting import LOST
from bactrian.providers.budget import Budget, Reserve
from bactrian.providers.terms import Terms

PRICE = Price(1.0, 2.0, source="test")


def nothing_left(path: Path) -> bool:
    """Whether no batch is open and no request waits."""
    batches = Batches(path)
    rows = batches._connection.execute("SELECT count(*) FROM batch_requests").fetchone()[0]
    batches.close()
    return not unfinished(path) and rows == 0


# -- money --------------------------------------------------------------------------------


def terms_of(usd: float, spent: float = 0.0) -> Terms:
    budget = Budget(usd, spent)
    return Terms(budget=budget, reserve=Reserve(PRICE, "km", budget))


def test_a_batch_that_would_pass_the_ceiling_is_cut(api: Any, ask: Any, server: Any) -> None:
    terms = terms_of(1.0)
    assert terms.reserve is not None
    one = terms.reserve.of(ask.request(api, 0))
    ceiling = one * 4.5
    with pytest.raises(BudgetError, match="is reached"):
        ask(api, range(60), terms_of(ceiling))
    sizes = [len(keys) for keys in server.sent()]
    assert sizes[0] == 4, "what is out counts with the most that it may cost"
    assert sizes[1:] and server.billed.total() * 20e-6 <= ceiling
    assert server.paid_twice == 0
    assert len(ask.entries()) == server.billed.total(), "what was out is waited for and kept"


def test_what_an_earlier_run_has_out_counts(api: Any, ask: Any, server: Any) -> None:
    server.seconds = 1e9
    terms = terms_of(1.0)
    ask.stop_when_out(api, range(4), terms)
    assert terms.reserve is not None
    one = terms.reserve.of(ask.request(api, 0))
    budget = Budget(one * 6.5)
    server.batches[0].seconds = 0.5
    server.seconds = 0.0
    done = ask(api, range(12), Terms(budget=budget, reserve=Reserve(PRICE, "km", budget)))
    assert done.answered == 12
    assert len(server.sent()[1]) == 2, "four of six and a half are out already"
    assert budget.reserved == pytest.approx(0.0, abs=1e-12)


def test_a_later_run_collects_what_is_out_and_sends_only_the_rest(
    api: Any, ask: Any, server: Any
) -> None:
    server.seconds = 0.3
    ask.stop_when_out(api, range(4))
    (batch,) = unfinished(ask.path)
    assert (batch.state, batch.requests, batch.remote) == ("sent", 4, server.batches[0].id)
    done = ask(api, range(6))
    assert (done.answered, done.need.present) == (6, 0)
    assert [len(keys) for keys in server.sent()] == [4, 2]
    assert server.paid_twice == 0


def test_what_is_out_and_not_wanted_any_more_is_kept_all_the_same(
    api: Any, ask: Any, server: Any
) -> None:
    server.seconds = 0.2
    ask.stop_when_out(api, range(4))
    done = ask(api, [100, 101])
    assert (done.need.missing, done.answered) == (2, 2)
    time.sleep(0.3)
    ask(api, [102])
    assert len(ask.entries()) == 7
    assert nothing_left(ask.path)


def test_a_batch_that_the_provider_does_not_know_stops_everything(
    api: Any, ask: Any, server: Any
) -> None:
    """With another key it is not seen; sending its requests again would pay them twice."""
    server.seconds = 1e9
    ask.stop_when_out(api, range(3))
    hidden = server.batches.pop()
    with pytest.raises(ProviderError, match=f"knows no batch {hidden.id}"):
        ask(api, range(3))
    assert server.batches == [] and len(unfinished(ask.path)) == 1
    hidden.seconds = 0.0
    server.batches.append(hidden)
    assert ask(api, range(3)).answered == 3
    assert server.paid_twice == 0


def test_a_batch_that_was_given_up_by_hand_is_sent_anew(api: Any, ask: Any, server: Any) -> None:
    server.seconds = 1e9
    ask.stop_when_out(api, range(3))
    server.batches.clear()
    (batch,) = unfinished(ask.path)
    abandon(ask.path, batch.name)
    server.seconds = 0.0
    assert ask(api, range(3)).answered == 3


def test_results_that_are_not_kept_any_more_are_reported(api: Any, ask: Any, server: Any) -> None:
    server.forgets = True
    done = ask(api, range(3))
    assert (done.answered, done.failed, len(server.batches)) == (0, 3, 1)
    assert set(ask.failures().values()) == {LOST}
    assert nothing_left(ask.path)
