"""The questions of the evaluation bench as token ids, the same for every contender.

XCOPA and XWinograd are asked with lm-eval's own prompts, EXAMS in three ways: the stem before the
option, all options shown before the option, all options shown before a letter. Data and tokenizer
are the project's shared folder (BACTRIAN_DATA, by default ../shared/data beside the checkout).
Knows nothing of models or clocks.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("BACTRIAN_DATA", ROOT.parent / "shared" / "data"))
Question = list[tuple[str, str]]
"""Context and continuation of each option."""
ANSWERED = {
    "Arabic": ("سؤال", "الإجابة"),
    "Bulgarian": ("Въпрос", "Отговор"),
    "Croatian": ("Pitanje", "Odgovor"),
    "French": ("Question", "Réponse"),
    "German": ("Frage", "Antwort"),
    "Italian": ("Domanda", "Risposta"),
    "Polish": ("Pytanie", "Odpowiedź"),
    "Portuguese": ("Pergunta", "Resposta"),
    "Spanish": ("Pregunta", "Respuesta"),
    "Turkish": ("Soru", "Cevap"),
    "Vietnamese": ("Câu hỏi", "Trả lời"),
}
"""EXAMS' languages and their words for question and answer; English words for the others."""


def xcopa() -> Iterator[tuple[str, Question]]:
    """Yield language and question."""
    from lm_eval.tasks.xcopa import utils

    for folder in sorted((DATA / "xcopa" / "data").iterdir()):
        code = folder.name
        files = [folder / f"{split}.{code}.jsonl" for split in ("test", "val")]
        found = next(path for path in files if path.is_file())
        asks = getattr(utils, f"doc_to_text_{code}")
        for line in found.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            context = asks(row)
            yield code, [(context, f" {choice}") for choice in utils.doc_to_choice(row)]


def xwinograd() -> Iterator[tuple[str, Question]]:
    """Yield language and question: two contexts, one continuation."""
    for line in _lines(DATA / "xwinograd" / "dataset.tsv.gz"):
        language, _, _, text, words, pronoun, candidates = line.split("\t")[:7]
        spans, place = [], 0
        for word in json.loads(words):
            at = text.find(word, place)
            if at < 0:
                break
            place = at + len(word)
            spans.append((at, place))
        first, last = json.loads(pronoun)[1]
        given = json.loads(candidates)
        if len(spans) < last or len(given) != 2:
            continue
        before, after = text[: spans[first][0]], text[spans[last - 1][1] :].strip()
        if after:
            yield language, [(before + candidate[0], f" {after}") for candidate in given]


def exams(kind: str) -> Iterator[tuple[str, Question]]:
    """Yield language and question; ``kind`` is stem, full or letter."""
    for split in ("train", "dev", "test"):
        for line in _lines(DATA / "exams" / f"{split}.jsonl.gz"):
            row = json.loads(line)
            choices = sorted(row["question"]["choices"], key=lambda choice: str(choice["label"]))
            if len(choices) != 4:
                continue
            language, stem = row["info"]["language"], row["question"]["stem"].strip()
            texts = [choice["text"].strip() for choice in choices]
            asked, answered = ANSWERED.get(language, ("Question", "Answer"))
            shown = "\n".join(map("{}. {}".format, "ABCD", texts))
            context = stem if kind == "stem" else f"{asked}: {stem}\n{shown}\n{answered}:"
            options = list("ABCD") if kind == "letter" else texts
            if all(options):
                yield language, [(context, f" {option}") for option in options]


def _lines(path: Path) -> list[str]:
    return gzip.decompress(path.read_bytes()).decode().splitlines()


SUITES: dict[str, Callable[[], Iterator[tuple[str, Question]]]] = {
    "exams_full": lambda: exams("full"),
    "exams_stem": lambda: exams("stem"),
    "exams_letter": lambda: exams("letter"),
    "xcopa": xcopa,
    "xwinograd": xwinograd,
}


def chosen(suite: str, limit: int, seed: int = 0) -> list[Question]:
    """Return up to ``limit`` questions of each language, the same ones at every call."""
    by_language: dict[str, list[Question]] = defaultdict(list)
    for language, question in SUITES[suite]():
        by_language[language].append(question)
    chance = random.Random(seed)
    return [
        question
        for language in sorted(by_language)
        for question in chance.sample(by_language[language], min(limit, len(by_language[language])))
    ]


def encoded(tokenizer: Any, questions: list[Question]) -> list[list[tuple[list[int], list[int]]]]:
    """Return token ids of every context and continuation, joined as lm-eval joins them."""
    from bactrian.models.scoring import encode

    found = []
    for question in questions:
        pairs = [encode(tokenizer, *pair)[0] for pair in question]
        found.append([(list(pair.context), list(pair.continuation)) for pair in pairs])
    return found
