"""A server of the tiny base."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from served_model import Faked, serving

Serve = Callable[..., Any]


@pytest.fixture(scope="session")
def toy(tiny_base: Any) -> Any:
    """The tiny base, loaded."""
    from bactrian.models.base import load

    return load(str(tiny_base), dtype="float32")


@pytest.fixture
def serve(toy: Any) -> Iterator[Serve]:
    """Return a starter of servers of the tiny base; see ``Faked`` for their traits."""
    with ExitStack() as stack:
        yield lambda **traits: stack.enter_context(serving(Faked(toy, **traits)))
