"""Chooses the rows of the demo: Alpaca rows with real translations in zh, vi and km.

    python demo/choose_rows.py ../shared/data > demo/rows.tsv

The Chinese file names the Alpaca row. The Khmer file carries its own English (the cleaned Alpaca
of March 2023), which finds the Alpaca row by its text. The Vietnamese file has neither, but keeps
the order of the cleaned Alpaca with some rows left out: a monotone alignment on what survives a
translation (numbers, names, lengths, the colon before an input) finds the pairs, and only those
that beat every other alignment of their row by a margin are used. Then rules take out what is long,
tied to English or badly rendered, and a list made by reading takes out the rest. A handful of truly
flawed translations stays in, each with a note, so that the checks have something to catch.

rows.tsv: id, zh (alpaca_index), km (field ``i``), vi (line, from 0), english (whose text), note.
Counts by reason go to standard error and add up to the rows of the Khmer file.
Knows nothing of the package; the standard library is enough.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

ENGLISH_WORDS = 45
"""Longest English output."""
TASK_WORDS = 40
"""Longest English instruction and input together."""
BYTES = 420
"""Longest output of a translation, and longest instruction and input together, UTF-8."""
RATIO = {"zh": (0.18, 0.9), "vi": (0.65, 1.5), "km": (0.6, 1.6)}
"""Characters of an output over those of the English one, 25 added to both."""
RATIO_FROM = 30
"""English outputs of fewer characters have no meaningful ratio."""
SCRIPT_SHARE = {"zh": 0.5, "vi": 0.12, "km": 0.5}
"""Least share of letters that only the language's script has (vi: letters with a mark)."""
INPUT_SHARE = 0.2
"""The same for an input, which may be a name or a formula in part."""
LAGS = range(-10, 61)
"""Where the alignment looks: how many rows the Vietnamese file may have left out so far."""
GAP = -1.0
"""Score of a row left without a partner."""
MARGIN = 0.5
"""Least distance in score to the best alignment without the pair."""

SUBJECTS = {
    "hangs on the English language": r"""translat grammar grammatic spell rhym synonym antonym
        alliterat pronoun adverb noun\b conjunct contraction tense passive active\svoice plural
        singular capital\sletter capitali[sz] lowercase punctuat comma\b alphabetical limerick pun\b
        homophone hyperbole""",
    "code": "python css sql regex code function program array query password username",
    "asks for what a text model cannot see": "photo near search",
    "arithmetic, where Alpaca is often wrong": r"""compute\b solve multipl product\sof average
        median fahrenheit celsius hexadecimal binary decimal fraction slope factor""",
    "politics, health or violence": r"president election gun death die\b disease symptom pandemic",
}
"""Beginnings of words that keep a row out, by reason; those that occur."""
MARKUP = re.compile(r"[<>_\[\\&{]|http")
ENTITY = re.compile(r"&#?\w+;")

EXCLUDED = {
    "the English answer is wrong": """44 50 174 193 250 286 382 391 438 496 530 611 617 646 652 893
        983 1016 1035 1164 1345 1360 1462""",
    "the instruction means little, or asks for what is not there": """135 236 495 498 621 707 715
        736 743 788 791 890 1055 1102 1166""",
    "hangs on English words, which a translation cannot keep": """102 117 372 412 416 453 540 580
        586 742 885 1070 1079 1185 1240 1294 1296 1338 1409 1473""",
    "a word of a translation is misspelt or of another sense": """11 60 108 231 257 265 313 384 430
        532 632 677 697 768 822 888 894 981 1133 1160 1168 1193 1312 1317 1472 1476 1495 1523""",
}
"""Alpaca rows that pass every rule and were taken out after reading all that do."""

FLAWED = {
    10: "km: a phrase left in English; vi: the date 15 March became 3 tháng 3",
    32: "zh, km: one word repeated instead of different ones",
    116: "zh: HTML entity &#39; in the output, and the idiom left in English",
    284: "zh: empty output, as in the original Alpaca; the English is the cleaned one",
    341: "zh: answer in Chinese where Spanish was asked, output repeats the input",
    746: "km, vi: output copied from the English",
    875: "km: first item of the list left in English",
    1213: "vi: the keyword is lost from the instruction",
    1349: "vi: output is 12 times as long, an explanation instead of the number",
    1422: "zh, vi, km: the error was repaired in translation, output repeats the input",
}
"""Alpaca rows that stay in whatever the rules say, and what is wrong with each."""

KHMER_DIGITS = str.maketrans("០១២៣៤៥៦៧៨៩", "0123456789")
MARKED = frozenset("ăâđêôơưàáạảãằắặẳẵầấậẩẫèéẹẻẽềếệểễìíịỉĩòóọỏõồốộổỗờớợởỡùúụủũừứựửữỳýỵỷỹ")
IN_SCRIPT: dict[str, Callable[[str], bool]] = {
    "zh": lambda letter: "\u4e00" <= letter <= "\u9fff",
    "vi": lambda letter: letter.lower() in MARKED,
    "km": lambda letter: "\u1780" <= letter <= "\u17ff",
}
PairScore = Callable[[int, int], float]


class Text(NamedTuple):
    """Instruction, input and output in one language."""

    instruction: str
    input: str
    output: str


class Pair(NamedTuple):
    """A row of the Khmer file and a line of the Vietnamese one, with its margin in score."""

    km: int
    vi: int
    margin: float


class Row(NamedTuple):
    """One Alpaca row with where its translations stand."""

    number: int
    km: int
    vi: int
    source: str
    """Whose English: alpaca, or km where the output was changed in cleaning."""
    english: Text
    texts: dict[str, Text]
    """By language: zh, vi, km."""


def split_prompt(prompt: str, has_input: bool) -> tuple[str, str]:
    """Take a Vietnamese prompt apart: the file joins instruction and input with ``": "``.

    Certain only where the English has an input and the prompt one colon (see ``has_one_colon``).
    """
    if not has_input:
        return prompt.strip(), ""
    instruction, _, task_input = prompt.partition(": ")
    return instruction.strip(), task_input.strip()


def has_one_colon(english: Text, prompt: str) -> bool:
    """The only colon of the prompt is the one before the input."""
    plain = prompt.count(":") == 1 and ": " in prompt and "\n" not in prompt
    return plain and ":" not in english.instruction + english.input


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Read a gzipped file of one JSON object a line."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def text_of(record: dict[str, Any]) -> Text:
    """Take the three fields of a record."""
    return Text(record["instruction"], record["input"], record["output"])


def squeeze(text: str) -> str:
    """Every run of white space as one space."""
    return " ".join(text.split())


def words(text: str, most: int) -> set[str]:
    """The first ``most`` words, lower case."""
    return {word.lower() for word in re.findall(r"\w+", text)[:most]}


def pair_scores(english: list[Text], prompts: list[dict[str, Any]]) -> PairScore:
    """Score a pair by the rare words that both hold, by length and by the colon of an input."""
    left = [words(" ".join(text), 60) for text in english]
    right = [words(line["prompt"] + " " + line["response"], 90) for line in prompts]
    found = Counter(word for side in (left, right) for row in side for word in row)
    total = len(left) + len(right)
    left_size = [sum(map(len, text)) + 10 for text in english]
    right_size = [len(line["prompt"] + line["response"]) + 10 for line in prompts]
    joined = [": " in line["prompt"] or "\n" in line["prompt"] for line in prompts]

    @cache
    def score(i: int, j: int) -> float:
        shared = [found[word] for word in sorted(left[i] & right[j])]
        rare = sum(math.log(total / count) for count in shared if count < total / 20)
        stretch = math.log(right_size[j] / left_size[i])
        colon = 0.5 if bool(english[i].input) == joined[j] else -1.5
        return rare / 6 + max(0.9 - (stretch / 0.25) ** 2 / 2 + colon, -6.0)

    return score


def sweep(rows: int, columns: int, lags: range, score: PairScore) -> dict[tuple[int, int], float]:
    """Best score of aligning the first i rows with the first j columns, where i - j is a lag."""
    best = {(0, 0): 0.0}
    for i in range(rows + 1):
        for j in range(max(0, i - lags[-1]), min(columns, i - lags[0]) + 1):
            ways = [best[way] + GAP for way in ((i - 1, j), (i, j - 1)) if way in best]
            if (i - 1, j - 1) in best:
                ways.append(best[i - 1, j - 1] + score(i - 1, j - 1))
            if ways:
                best[i, j] = max(ways)
    return best


def align(english: list[Text], prompts: list[dict[str, Any]]) -> Iterator[Pair]:
    """Yield each row's best partner with its margin: forward and backward sweep give both."""
    rows, columns = len(english), len(prompts)
    score = pair_scores(english, prompts)
    mirrored = range(rows - columns - LAGS[-1], rows - columns - LAGS[0] + 1)
    before = sweep(rows, columns, LAGS, score)
    after = sweep(rows, columns, mirrored, lambda i, j: score(rows - 1 - i, columns - 1 - j))
    for i in range(rows):
        ways: list[tuple[float, int]] = []
        alone = -math.inf
        for j in range(max(0, i - LAGS[-1]), min(columns, i - LAGS[0]) + 1):
            if (rows - i - 1, columns - j) in after:
                alone = max(alone, before[i, j] + GAP + after[rows - i - 1, columns - j])
            if (rows - i - 1, columns - j - 1) in after and j < columns:
                through = score(i, j) + after[rows - i - 1, columns - j - 1]
                ways.append((before[i, j] + through, j))
        (second, _), (first, partner) = sorted(ways)[-2:]
        yield Pair(i, partner, first - max(second, alone))


def script_share(text: str, language: str) -> float:
    """Share of the letters that belong to the language's script, 0 where there are none."""
    letters = [sign for sign in text if sign.isalpha()]
    return sum(map(IN_SCRIPT[language], letters)) / len(letters) if letters else 0.0


def numbers(text: str) -> list[str]:
    """Numbers of two digits and more, sorted, without separators."""
    found = re.findall(r"\d[\d.,]*\d", text.translate(KHMER_DIGITS))
    return sorted(re.sub("[.,]", "", number) for number in found)


def too_long(row: Row) -> bool:
    """Over a limit in English words or in bytes of a translation."""
    task = row.english.instruction + " " + row.english.input
    if len(row.english.output.split()) > ENGLISH_WORDS or len(task.split()) > TASK_WORDS:
        return True
    sizes = ((t.output, t.instruction + t.input) for t in row.texts.values())
    return any(len(part.encode()) > BYTES for pair in sizes for part in pair)


def rendered_badly(english: Text, text: Text, language: str) -> str:
    """Say what a rule finds wrong with one translation, or nothing."""
    for name, original, translated in zip(Text._fields, english, text, strict=True):
        least = INPUT_SHARE if name == "input" else SCRIPT_SHARE[language]
        if bool(original) != bool(translated):
            return f"{language}: a field is empty, or ought to be"
        if original and script_share(translated, language) < min(least, SCRIPT_SHARE[language]):
            return f"{language}: another script"
    if squeeze(text.output) == squeeze(text.input):
        return f"{language}: output repeats the input"
    if numbers(text.output) != numbers(english.output):
        return f"{language}: numbers differ"
    low, high = RATIO[language]
    ratio = (len(text.output) + 25) / (len(english.output) + 25)
    if len(english.output) >= RATIO_FROM and not low < ratio < high:
        return f"{language}: much shorter or longer"
    return f"{language}: HTML entity" if any(map(ENTITY.search, text)) else ""


def why_not(row: Row) -> str:
    """Say why a row stays out, or nothing."""
    english = row.english
    if row.source == "km":
        return "the English output was changed in cleaning"
    if too_long(row):
        return "long"
    if len(english.output.split()) < 2:
        return "a single word as output"
    for name, stems in SUBJECTS.items():
        beginnings = rf"\b(?:{'|'.join(stems.split())})"
        if re.search(beginnings, english.instruction + " " + english.input, re.IGNORECASE):
            return name
    if MARKUP.search("".join(english)):
        return "markup or blanks"
    for language, text in row.texts.items():
        if reason := rendered_badly(english, text, language):
            return reason
    return next((why for why, rows in EXCLUDED.items() if str(row.number) in rows.split()), "")


def candidates(data: Path, counts: Counter[str]) -> Iterator[Row]:
    """Yield the rows that stand in all files for certain; count the others."""
    with gzip.open(data / "alpaca" / "alpaca_data.json.gz", "rt", encoding="utf-8") as file:
        alpaca = [text_of(record) for record in json.load(file)]
    folder = data / "alpaca_translated"
    zh = {r["alpaca_index"]: r for r in read_lines(folder / "zh_carbonz0_0_10020.jsonl.gz")}
    km = read_lines(folder / "km_google_1551.jsonl.gz")
    cleaned = [text_of(record["en"]) for record in km]
    vi = read_lines(folder / "vi_alpaca_reduced.jsonl.gz")[: len(km) - LAGS[0]]
    where = {(squeeze(t.instruction), squeeze(t.input)): n for n, t in enumerate(alpaca)}
    pairs = {pair.km: pair for pair in align(cleaned, vi)}
    for place, (record, text) in enumerate(zip(km, cleaned, strict=True)):
        number = where.get((squeeze(text.instruction), squeeze(text.input)))
        pair = pairs.get(place)
        if number is None:
            counts["the English task was changed in cleaning"] += 1
        elif number not in zh:
            counts["no Chinese"] += 1
        elif pair is None or pair.margin < MARGIN:
            counts["no certain Vietnamese"] += 1
        elif text.input and not has_one_colon(text, vi[pair.vi]["prompt"]):
            counts["the Vietnamese prompt cannot be split for certain"] += 1
        else:
            prompt = split_prompt(vi[pair.vi]["prompt"], bool(text.input))
            vietnamese = Text(*prompt, vi[pair.vi]["response"])
            texts = {"zh": text_of(zh[number]), "vi": vietnamese, "km": text_of(record["km"])}
            same = squeeze(alpaca[number].output) == squeeze(text.output)
            source, english = ("alpaca", alpaca[number]) if same else ("km", text)
            yield Row(number, record["i"], pair.vi, source, english, texts)


def choose(rows: Iterable[Row], counts: Counter[str]) -> Iterator[tuple[Row, str]]:
    """Yield the chosen rows with their notes; count the others by reason."""
    for row in rows:
        note = FLAWED.get(row.number, "")
        reason = "" if note else why_not(row)
        counts[reason or ("chosen, flawed" if note else "chosen")] += 1
        if not reason:
            yield row, note


def main(data: Path) -> None:
    """Write the table to standard output and the counts to standard error."""
    counts: Counter[str] = Counter()
    chosen = sorted(choose(candidates(data, counts), counts), key=lambda pair: pair[0].number)
    if counts["chosen, flawed"] != len(FLAWED):
        sys.exit("error: a row of FLAWED is no longer aligned for certain")
    print("id", "zh", "km", "vi", "english", "note", sep="\t")
    for row, note in chosen:
        print(f"alpaca-{row.number}", row.number, row.km, row.vi, row.source, note, sep="\t")
    for reason, count in counts.most_common():
        print(f"{count:5} {reason}", file=sys.stderr)
    print(f"{counts.total():5} rows of the Khmer file", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not (Path(sys.argv[1]) / "alpaca_translated").is_dir():
        sys.exit("usage: python demo/choose_rows.py DATA  (it holds alpaca, alpaca_translated)")
    main(Path(sys.argv[1]))
