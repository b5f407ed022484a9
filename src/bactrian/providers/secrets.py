"""Keys of providers: from the environment or a keyring, never from the recipe, never printed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from bactrian.errors import ConfigError, ProviderError

LOOKS_LIKE_A_KEY = re.compile(r"^(sk-|AIza|ghp_|hf_|Bearer )|[0-9a-f]{8}-[0-9a-f-]{27}(:fx)?$")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")

_planning: ContextVar[bool] = ContextVar("planning", default=False)


@dataclass(frozen=True, slots=True)
class Key:
    """A secret that shows only where it came from."""

    name: str
    """The environment variable, or the keyring's entry."""
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return self.name

    def hidden_in(self, data: bytes) -> bytes:
        """Return what a server said without the key in it: some say which key was wrong."""
        return data.replace(self.secret.encode(), self.name.encode()) if self.secret else data


def keys(names: Iterable[str], usual: str, *, needed: bool = True) -> tuple[Key, ...]:
    """Return the keys that the recipe names, else the provider's usual one.

    Raises ConfigError for a key written into the recipe, ProviderError where one is not set;
    without ``needed`` no key at all is a single empty one (a server of one's own).
    """
    told = tuple(names)
    needed = needed and not planning()
    found = tuple(_key(name) for name in told or (usual,))
    for key in found:
        if not key.secret and (needed or (told and not planning())):
            raise ProviderError(f"no key: {key.name} is not set", _how(key.name))
        if not key.secret.isprintable() or " " in key.secret:
            raise ProviderError(
                f"what {key.name} holds is no key: there is a space or a line break in it",
                _how(key.name),
            )
    return found


@contextmanager
def nothing_is_sent() -> Iterator[None]:
    """Let providers be made without keys and clients: to plan takes neither."""
    token = _planning.set(True)
    try:
        yield
    finally:
        _planning.reset(token)


def planning() -> bool:
    """Whether a provider is made that will not send."""
    return _planning.get()


def _key(name: str) -> Key:
    if name.startswith("keyring:"):
        return Key(name, _from_keyring(name))
    if LOOKS_LIKE_A_KEY.search(name) or not NAME.match(name):
        raise ConfigError(
            "keys = names environment variables, and what stands there looks like a key itself",
            'take it out of the recipe, set it in the environment, and name it: keys = ["MY_KEY"]',
        )
    return Key(name, os.environ.get(name, "").strip())


def _how(name: str) -> str:
    if name.startswith("keyring:"):
        service, _, user = name.removeprefix("keyring:").partition("/")
        return f"store it: keyring set {service} {user}"
    return f"set it: export {name}=…  (or name another one with keys = in the recipe)"


def _from_keyring(name: str) -> str:
    try:
        import keyring
    except ImportError:
        raise ProviderError(
            f"{name} needs the package keyring, which is not installed", "pip install keyring"
        ) from None
    service, slash, user = name.removeprefix("keyring:").partition("/")
    if not slash:
        raise ConfigError(f"{name} has no user", "write keyring:service/user")
    try:
        return keyring.get_password(service, user) or ""
    except keyring.errors.KeyringError as error:
        raise ProviderError(f"{name} cannot be read: {error}", _how(name)) from None
