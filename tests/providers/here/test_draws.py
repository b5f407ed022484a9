"""Seeds: of the request and of the answers that it has had, and of nothing else."""

from __future__ import annotations

from bactrian.providers import Again, Answer, NoAnswer, Request
from bactrian.providers.here.draws import Draws


def request(number: int) -> Request:
    return {"engine": "m", "messages": [{"role": "user", "content": f"text {number}"}]}


def test_a_seed_is_the_request_s_own_on_every_machine() -> None:
    # written out: a change would draw every answer anew
    assert Draws().seeds([request(0)]) == [8146147491439507228]
    several = Draws().seeds([request(number) for number in range(100)])
    assert len(set(several)) == 100
    assert Draws().seeds([request(7), request(3)]) == [several[7], several[3]]
    assert all(0 <= seed < 2**63 for seed in several)


def test_another_answer_is_another_draw_but_a_lost_attempt_is_the_same() -> None:
    draws = Draws()
    asked = [request(number) for number in range(4)]
    first = draws.seeds(asked)
    empty = Again("empty", billed=Answer(""))
    draws.note(asked, [Answer("yes"), Again("server"), empty, NoAnswer("too long")])
    second = draws.seeds(asked)
    assert [one == two for one, two in zip(first, second, strict=True)] == [
        False,
        True,
        False,
        True,
    ]
    draws.note(asked[:1], [Answer("no")])
    assert len({first[0], second[0], draws.seeds(asked)[0]}) == 3
    draws.forget()
    assert draws.seeds(asked) == first
