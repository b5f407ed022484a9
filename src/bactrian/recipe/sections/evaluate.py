"""What is measured."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bactrian.recipe.sections.section import Count, Section


class Eval(Section):
    """What is measured, and on how much of it."""

    tasks: tuple[str, ...] = ("held-out",)
    """Tasks by registered name, which may go on: a formulation (exams:letter), a protocol
    (xcopa@lm-eval), a task of lm-eval (lm_eval:xnli_sw); or a task file of one's own, mine.toml."""
    languages: dict[str, str] = Field(default_factory=dict)
    """Languages by task, where they are not the recipe's own: xcopa = "zh,et,th"; all is every
    language of the task whose data are at hand."""
    data: dict[str, str] = Field(default_factory=dict)
    """Folder with the data by task, relative to the recipe's folder; hub is the task's dataset on
    the Hub, which needs network = true."""
    lm_eval_paths: tuple[str, ...] = ()
    """Folders with task files for lm_eval:NAME, relative to the recipe's folder."""
    contamination: bool = False
    """Whether questions that stand word for word in the training rows are told apart: scores of the
    clean and of the dirty ones; reads every training row."""
    batch_tokens: Count = 4096
    """Tokens scored at once, padding included."""
    samples: Annotated[int, Field(ge=0)] = 0
    """Held-out instructions a language that every model answers for the report."""
    sample_tokens: Count = 64
    """Longest of these answers, in tokens."""
    answers: Count = 50
    """Held-out instructions a language that every model answers for the task confusion."""
    answer_tokens: Count = 100
    """Longest of these answers, in tokens; one that ends there counts as cut."""
    draws: Count = 10_000
    """Draws of the bootstrap behind the intervals."""
    backend: str = ""
    """What scores in place of the base and its adapters: a server (http://127.0.0.1:8000/v1) or a
    file for llama.cpp (gguf:FILE); see docs/backends.md."""
    backend_model: str = ""
    """The model's name at the server; its only one where none is told."""
    backend_name: Annotated[str, Field(min_length=1)] = "base"
    """What results call that model."""
    backend_key: str = ""
    """Environment variable with the server's key."""
    backend_concurrency: Count = 16
    """Texts that are on their way to the server at once."""
