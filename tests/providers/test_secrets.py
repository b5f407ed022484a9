"""Keys: found where the recipe names them, and never shown."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from bactrian.errors import BactrianError, ConfigError, ProviderError
from bactrian.providers.secrets import Key, keys

SECRET = "sk-proj-0123456789abcdef"


def test_the_usual_key_is_taken_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USUAL_KEY", f" {SECRET}\n")
    assert keys((), "USUAL_KEY") == (Key("USUAL_KEY", SECRET),)


def test_several_keys_keep_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("KEY_B", "KEY_A"):
        monkeypatch.setenv(name, f"secret of {name}".replace(" ", "-"))
    found = keys(("KEY_B", "KEY_A"), "USUAL_KEY")
    assert [(key.name, key.secret) for key in found] == [
        ("KEY_B", "secret-of-KEY_B"),
        ("KEY_A", "secret-of-KEY_A"),
    ]


def test_a_key_that_is_not_set_says_how_to_set_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("USUAL_KEY", raising=False)
    with pytest.raises(ProviderError, match="no key: USUAL_KEY is not set") as error:
        keys((), "USUAL_KEY")
    assert "export USUAL_KEY=" in error.value.hint


def test_a_server_of_one_s_own_needs_none_but_one_that_is_named_has_to_be_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("USUAL_KEY", raising=False)
    assert keys((), "USUAL_KEY", needed=False) == (Key("USUAL_KEY", ""),)
    with pytest.raises(ProviderError, match="no key: MY_KEY is not set"):
        keys(("MY_KEY",), "USUAL_KEY", needed=False)


@pytest.mark.parametrize(
    "written",
    [
        SECRET,
        "sk-ant-api03-x",
        "AIzaSyD-x",
        "ghp_x",
        "hf_x",
        "Bearer x",
        "0f8fad5b-d9cb-469f-a165-70867728950e",
        "0f8fad5b-d9cb-469f-a165-70867728950e:fx",
        "two words",
        "with/slash",
        "",
        "ключ",
        "KEY\n",
    ],
)
def test_a_key_in_the_recipe_is_refused_and_not_repeated(written: str) -> None:
    with pytest.raises(ConfigError, match="looks like a key itself") as error:
        keys((written,), "USUAL_KEY")
    assert not written or written not in str(error.value)


@pytest.mark.parametrize(
    "held", ["one\ntwo", "one two", "one\x00two", "one\x1b[31m", "one\r\nx: y"]
)
def test_what_cannot_be_a_key_is_refused_before_it_is_sent(
    monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    # a line break would end the header; the client's own error has no next step
    monkeypatch.setattr("os.environ", {"USUAL_KEY": held})
    with pytest.raises(ProviderError, match="what USUAL_KEY holds is no key") as error:
        keys((), "USUAL_KEY")
    assert "one" not in str(error.value).replace("another one", "")


def test_a_key_shows_its_name_only() -> None:
    key = Key("MY_KEY", SECRET)
    shown = f"{key} {key!r} {[key]} {key!s:>40} {(key,)}"
    assert "MY_KEY" in shown
    assert SECRET not in shown


def test_a_key_is_hidden_in_what_a_server_says() -> None:
    said = f'{{"message": "bad key {SECRET}, {SECRET}"}}'.encode()
    assert Key("MY_KEY", SECRET).hidden_in(said) == b'{"message": "bad key MY_KEY, MY_KEY"}'
    assert Key("MY_KEY", "").hidden_in(said) == said


class Keyring(ModuleType):
    """The package, with one entry; or one that is locked."""

    class errors:  # noqa: N801
        class KeyringError(Exception):
            pass

    locked = False

    def get_password(self, service: str, user: str) -> str | None:
        if self.locked:
            raise self.errors.KeyringError("the keyring is locked")
        return SECRET if (service, user) == ("openai", "me/too") else None


@pytest.fixture
def keyring(monkeypatch: pytest.MonkeyPatch) -> Keyring:
    module = Keyring("keyring")
    monkeypatch.setitem(sys.modules, "keyring", module)
    return module


@pytest.mark.usefixtures("keyring")
def test_a_key_may_lie_in_the_keyring() -> None:
    (key,) = keys(("keyring:openai/me/too",), "USUAL_KEY")
    assert (key.name, key.secret) == ("keyring:openai/me/too", SECRET)


@pytest.mark.usefixtures("keyring")
@pytest.mark.parametrize(
    ("name", "problem", "hint", "kind"),
    [
        ("keyring:openai/you", "openai/you is not set", "keyring set openai you", ProviderError),
        ("keyring:openai", "has no user", "keyring:service/user", ConfigError),
    ],
)
def test_what_the_keyring_lacks_says_how_to_store_it(
    name: str, problem: str, hint: str, kind: type[BactrianError]
) -> None:
    with pytest.raises(kind, match=problem) as error:
        keys((name,), "USUAL_KEY")
    assert hint in error.value.hint


def test_a_locked_keyring_says_so(keyring: Keyring) -> None:
    keyring.locked = True
    with pytest.raises(ProviderError, match="cannot be read: the keyring is locked"):
        keys(("keyring:openai/me/too",), "USUAL_KEY")


def test_without_the_package_the_keyring_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(ProviderError, match="needs the package keyring") as error:
        keys(("keyring:openai/me",), "USUAL_KEY")
    assert "pip install" in error.value.hint
