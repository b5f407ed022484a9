"""Finds what a recipe names: built-in pieces and those of installed plug-ins.

A plug-in package declares an entry point, for example in its pyproject.toml::

    [project.entry-points."bactrian.translators"]
    mine = "my_package:MyTranslator"

Nothing is imported before it is named.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from bactrian.errors import ConfigError, did_you_mean

BUILT_IN: dict[str, dict[str, str]] = {
    "shapes": {
        "alpaca": "bactrian.data.sources.shapes.flat:Alpaca",
        "dolly": "bactrian.data.sources.shapes.flat:Dolly",
        "guanaco": "bactrian.data.sources.shapes.marked:Guanaco",
        "messages": "bactrian.data.sources.shapes.chats:Messages",
        "openassistant-guanaco": "bactrian.data.sources.shapes.marked:OpenAssistantGuanaco",
        "pairs": "bactrian.data.sources.shapes.flat:Pairs",
        "self-instruct": "bactrian.data.sources.shapes.flat:SelfInstruct",
        "sharegpt": "bactrian.data.sources.shapes.chats:ShareGPT",
    },
    "translators": {
        "apertium": "bactrian.providers.apertium:Apertium",
        "chat": "bactrian.providers.chat_translator:ChatTranslator",
        "deepl": "bactrian.providers.deepl:DeepL",
        "google": "bactrian.providers.google:Google",
        "libretranslate": "bactrian.providers.libretranslate:LibreTranslate",
        "recorded": "bactrian.providers.recorded:RecordedTranslator",
        "seq2seq": "bactrian.providers.seq2seq:Seq2Seq",
    },
    "chats": {
        "anthropic": "bactrian.providers.anthropic:AnthropicChat",
        "local": "bactrian.providers.local:LocalChat",
        "openai": "bactrian.providers.chat:OpenAIChat",
        "recorded": "bactrian.providers.recorded:RecordedChat",
        "vllm": "bactrian.providers.vllm:VllmChat",
    },
    "tasks": {
        "confusion": "bactrian.evaluate.confusion.task:Confusion",
        "exams": "bactrian.evaluate.tasks.exams:Exams",
        "flores": "bactrian.evaluate.tasks.flores:Flores",
        "held-out": "bactrian.evaluate.tasks.held_out:HeldOut",
        "lm_eval": "bactrian.evaluate.lm_eval.tasks:LmEvalTask",
        "sentimentx": "bactrian.evaluate.tasks.sentimentx:SentimentX",
        "sib200": "bactrian.evaluate.tasks.sib200:Sib200",
        "xcopa": "bactrian.evaluate.tasks.xcopa:Xcopa",
        "xstorycloze": "bactrian.evaluate.tasks.xstorycloze:XStoryCloze",
        "xwinograd": "bactrian.evaluate.tasks.xwinograd:XWinograd",
    },
}


def names(kind: str) -> tuple[str, ...]:
    """Return every name of a kind (``translators``, ``chats``, ``tasks``), sorted."""
    plugged = {point.name for point in entry_points(group=f"bactrian.{kind}")}
    return tuple(sorted(plugged | BUILT_IN[kind].keys()))


def find(kind: str, name: str) -> Any:
    """Return the class registered as ``name``; raises ConfigError with what is near."""
    if name in BUILT_IN[kind]:
        module, _, attribute = BUILT_IN[kind][name].partition(":")
        return getattr(import_module(module), attribute)
    for point in entry_points(group=f"bactrian.{kind}", name=name):
        return point.load()
    raise ConfigError(f"unknown {kind[:-1]} {name}", did_you_mean(name, names(kind)))
