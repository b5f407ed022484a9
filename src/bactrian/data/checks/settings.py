"""Every threshold of the checks, in one place, each with what it means."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class CheckSettings(BaseModel):
    """When a check speaks; the defaults were measured on real translations."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    script_share: float = Field(default=0.5, ge=0, le=1)
    """Least share of the prose's letters in the language's script; below it a row is rejected."""
    script_letters: int = Field(default=12, ge=1)
    """Foreign letters (a Han character counts as three) that it takes to reject a row."""
    language_graphemes: int = Field(default=20, ge=1)
    """Shortest prose whose language is judged, in grapheme clusters without spaces."""
    language_window: int = Field(default=240, ge=40)
    """How much of the prose is read to tell its language, in code points."""
    language_other: float = Field(default=0.7, ge=0, le=1)
    """Least probability of another language for a row to be rejected."""
    language_own: float = Field(default=0.05, ge=0, le=1)
    """Probability of the row's own language above which it is never rejected."""
    untranslated_share: float = Field(default=0.8, ge=0, le=1)
    """Share of the letters standing in English words of the source that counts as English."""
    untranslated_words: int = Field(default=4, ge=1)
    """Fewest words for that share to say anything; below it only an equal text counts."""
    refusal_graphemes: int = Field(default=200, ge=1)
    """How far into the output a refusal is looked for, in grapheme clusters."""
    length_reject: float = Field(default=4.0, gt=1)
    """How many times longer or shorter than expected an output is rejected."""
    length_warn: float = Field(default=2.5, gt=1)
    """How many times longer or shorter than expected an output is worth a look."""
    length_graphemes: int = Field(default=80, ge=1)
    """Shortest English output (too short) or output (too long) judged, in grapheme clusters."""
    repetition_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the output that one loop has to cover."""
    repetition_times: int = Field(default=4, ge=2)
    """Fewest turns of a loop."""
    repetition_tokens: int = Field(default=12, ge=2)
    """Fewest tokens that a loop has to cover."""
