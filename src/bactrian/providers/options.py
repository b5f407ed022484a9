"""Reads ``[translate.options]``: what a provider knows, of the type it has, and nothing else."""

from __future__ import annotations

from typing import Any

from bactrian.errors import ConfigError, did_you_mean
from bactrian.recipe import Provider

UNSAID = ("", "recorded")
"""What ``model`` is where a recipe does not name one."""


def read(section: Provider, **usual: Any) -> dict[str, Any]:
    """Return every option with its value, or the usual one, whose type it must have.

    Raises ConfigError for an option that is unknown or of another type.
    """
    for name, value in section.options.items():
        if name not in usual:
            raise ConfigError(f"unknown key options.{name}", did_you_mean(name, usual))
        whole = type(value) is int and type(usual[name]) is float
        if type(value) is not type(usual[name]) and not whole:
            wanted = {bool: "true or false", int: "a whole number", str: "a text"}
            wanted[float] = "a number"
            raise ConfigError(
                f"options.{name} = {value!r} is not {wanted.get(type(usual[name]), 'a table')}",
                f"it is {usual[name]!r} where nothing is said",
            )
    return {**usual, **section.options}


def model(section: Provider, usual: str) -> str:
    """Return the model that the recipe names, or the usual one."""
    return usual if section.model in UNSAID else section.model
