"""How long, heavy, warm or many: units and their exact factors, for checking conversions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

_UNITS = {
    "length": {
        "0.001": "mm millimeter millimeters millimetre millimetres",
        "0.01": "cm centimeter centimeters centimetre centimetres",
        "1": "m meter meters metre metres",
        "1000": "km kilometer kilometers kilometre kilometres kms",
        "0.0254": "inch inches",
        "0.3048": "ft foot feet",
        "0.9144": "yd yard yards",
        "1609.344": "mile miles",
    },
    "mass": {
        "0.001": "mg milligram milligrams",
        "1": "g gram grams",
        "1000": "kg kilogram kilograms kgs",
        "453.59237": "lb lbs pound pounds",
    },
    "volume": {
        "0.001": "ml mL milliliter milliliters millilitre millilitres",
        "1": "l L liter liters litre litres",
    },
    "time": {
        "0.001": "ms millisecond milliseconds",
        "1": "second seconds",
        "60": "minute minutes",
        "3600": "hour hours",
        "86400": "day days",
        "604800": "week weeks",
    },
    "temperature": {
        "C": "c C °C celsius Celsius celcius Celcius",
        "F": "f F °F fahrenheit Fahrenheit farenheit Farenheit",
        "K": "K kelvin Kelvin",
    },
    "information": {"1": "byte bytes", "0.125": "bit bits"},
}


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of one kind, such as length."""

    kind: str
    scale: str
    """Its size beside the other units of the kind; the letter of a temperature."""


KNOWN = {
    name: Unit(kind, scale)
    for kind, scales in _UNITS.items()
    for scale, names in scales.items()
    for name in names.split()
}
NAMES = "|".join(re.escape(name) for name in sorted(KNOWN, key=len, reverse=True))


def unit(name: str) -> Unit | None:
    """Return the unit of a name, however it is capitalised."""
    return KNOWN.get(name) or KNOWN.get(name.lower())


def converted(amount: Fraction, source: Unit, target: Unit) -> Fraction | None:
    """Return an amount in another unit; None for units of two kinds."""
    if source.kind != target.kind or source == target:
        return None
    if source.kind == "temperature":
        return _from_celsius(_to_celsius(amount, source.scale), target.scale)
    return amount * Fraction(source.scale) / Fraction(target.scale)


def _to_celsius(amount: Fraction, scale: str) -> Fraction:
    if scale == "F":
        return (amount - 32) * Fraction(5, 9)
    return amount - Fraction("273.15") if scale == "K" else amount


def _from_celsius(amount: Fraction, scale: str) -> Fraction:
    if scale == "F":
        return amount * Fraction(9, 5) + 32
    return amount + Fraction("273.15") if scale == "K" else amount
