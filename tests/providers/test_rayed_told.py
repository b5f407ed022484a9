"""What Ray is told and what it is not: without a cluster."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bactrian import languages, registry
from bactrian.cluster import Refused
from bactrian.errors import ConfigError, MissingExtra, ProviderError
from bactrian.ledger import key_of
from bactrian.providers import Again, Answer, Request, Told
from bactrian.providers.rayed import Answering, Rayed, rayed
from bactrian.recipe import Respond
from bactrian.schema import Instruction

pytest.importorskip("torch")  # the fingerprint of weights is the models' business

ENGLISH = languages.get("en")
ROW = Instruction("a-1", "en", "Name a fruit")


def told(model: Path, **options: Any) -> Told:
    return Told(Respond(using="local", model=str(model), options=options), Path("/"))


def asked(provider: Rayed) -> Any:
    return asyncio.run(provider.send([provider.request(ROW, ENGLISH)]))


def test_the_requests_are_the_provider_s_own(tiny_base: Path) -> None:
    plain = registry.find("chats", "local")(told(tiny_base, top_p=0.9, batch=7))
    spread = rayed("chats", told(tiny_base, top_p=0.9, batch=7, ray={"actors": 4, "num_gpus": 1}))
    assert (spread.name, spread.batch, spread.whole) == (plain.name, 7, False)
    assert key_of(spread.request(ROW, ENGLISH)) == key_of(plain.request(ROW, ENGLISH))
    assert spread.told.section.options == {"top_p": 0.9, "batch": 7}
    assert "model" not in vars(spread.provider)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"actor": 2}, r"unknown key options\.ray\.actor"),
        ({"actors": "two"}, r"options\.ray\.actors = 'two' is of another type"),
        ({"num_gpus": True}, "is of another type"),
    ],
)
def test_what_is_wrong_in_the_recipe_is_said_at_once(
    tiny_base: Path, said: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        rayed("chats", told(tiny_base, ray=said))


def test_an_actor_answers_as_the_provider_does_and_with_no_other_weights(tiny_base: Path) -> None:
    actor = Answering("chats", told(tiny_base, device="cpu"))
    here = registry.find("chats", "local")(told(tiny_base, device="cpu"))
    request: Request = here.request(ROW, ENGLISH)
    seeds = here.draws.seeds([request])
    assert asyncio.run(actor.answer([request], seeds)) == asyncio.run(here.send([request]))
    refused = asyncio.run(actor.answer([{**request, "weights": "others"}], seeds))
    assert isinstance(refused, Refused)
    with pytest.raises(ProviderError, match="has other weights here"):
        raise refused.error()
    asyncio.run(actor.close())


def test_without_ray_the_extra_is_named(tiny_base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtra) as error:
        asked(rayed("chats", told(tiny_base)))
    assert error.value.hint == "pip install 'bactrian[ray]'"


def test_a_cluster_that_is_not_there_is_told(
    tiny_base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def init(**_: Any) -> None:
        raise ConnectionError("ray client connection timeout\nand more")

    absent = SimpleNamespace(is_initialized=lambda: False, init=init)
    monkeypatch.setitem(sys.modules, "ray", absent)
    with pytest.raises(ProviderError, match=r"127\.0\.0\.1:1 cannot be joined: ray client"):
        asked(rayed("chats", told(tiny_base, ray={"address": "127.0.0.1:1"})))


def test_release_and_stop_need_no_cluster(tiny_base: Path) -> None:
    provider = rayed("chats", told(tiny_base))
    provider.release()
    provider.stop()
    asyncio.run(provider.close())
    assert (provider.stopped, provider.actors) == (False, [])


def test_a_lost_attempt_is_drawn_again_the_same_way(tiny_base: Path) -> None:
    provider = rayed("chats", told(tiny_base))
    assert provider.draws is not None
    request = provider.request(ROW, ENGLISH)
    first = provider.draws.seeds([request])
    provider.draws.note([request], [Again("server", "an actor died")])
    assert provider.draws.seeds([request]) == first
    provider.draws.note([request], [Answer("a pear")])
    assert provider.draws.seeds([request]) != first
