"""Makes src/bactrian/providers/forecast.toml anew, and prints how far off the forecast is.

    pip download --no-deps --dest WHEELS litellm==1.109.1 mistral-common==1.13.1 dashscope==2.0.2
    pip install --target TOKENIZERS tiktoken sentencepiece tokenizers
    PYTHONPATH=TOKENIZERS python benchmarks/forecast.py WHEELS ../shared/data [--write 2026-11-21]

The wheels are read as archives, for the tokenizers' tables in them: nothing of them is run.
Made from FLORES, Tatoeba and the UDHR; held against other texts: Alpaca in Chinese, Khmer and
Vietnamese, self-instruct's seeds, Vicuna's questions, EXAMS, XCOPA, NusaX, and Li et al. (2023).
"""

from __future__ import annotations

import argparse
import base64
import csv
import gzip
import io
import json
import os
import tempfile
import unicodedata
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from math import ceil, exp, fsum, log
from pathlib import Path
from statistics import geometric_mean
from typing import Any

from bactrian import languages
from bactrian.providers import forecast

TABLE = Path(__file__).parents[1] / "src/bactrian/providers/forecast.toml"
TIKTOKEN = {
    "o200k": ("o200k_base", "fb374d419588a4632f3f557e76b4b70aebbca790"),
    "cl100k": ("cl100k_base", "9b5ad71b2ce5302211f9c61530b329a4922fc6a4"),
}
QWEN = (  # as in the configuration that Qwen publishes beside its models
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ZERO_WIDTH_SPACE = "\u200b"
"""FLORES separates Khmer words by it (6 % of the characters), translators hardly ever (1.5 %)."""
MORE_UDHR = "bg=bul eu=eus ht=hat_kreyol hu=hun jv=jav qu=quy sq=als sr=srp_cyrl su=sun"
"""The nine languages that only benchmarks have."""
BROKEN_UDHR = {"en", "ps"}  # of Pashto 164 characters are there; English is the others' measure

TABLE_1 = {"mbart50": (17.11, 133.65), "llama": (185.18, 448.61)}
"""Li et al. 2023: instruction and response in mBART-50's tokens; response in LLaMA's, by seen."""

Count = Callable[[list[str]], list[int]]


@dataclass(frozen=True)
class Corpus:
    """Texts of one language, and where there are any the same in English."""

    name: str
    language: str
    texts: list[str]
    english: list[str] | None = None

    @property
    def ratio(self) -> float:
        """Code points for each of the English text's."""
        return sum(map(len, self.texts)) / sum(map(len, self.english or ()))


def read_tokenizers(wheels: Path, data: Path) -> dict[str, Count]:
    """Return a counter for each tokenizer."""
    import sentencepiece
    from tokenizers import Tokenizer

    litellm = _wheel(wheels, "litellm")
    folder = "litellm/litellm_core_utils/tokenizers"
    model = (data / "tokenizers/llama/tokenizer.model").read_bytes()
    llama = sentencepiece.SentencePieceProcessor(model_proto=model)
    mbart = gzip.decompress((data / "tokenizers/mbart50/tokenizer.json.gz").read_bytes())
    found = _tiktoken(litellm, folder)
    lines = _wheel(wheels, "dashscope").read("dashscope/resources/qwen.tiktoken").splitlines()
    qwen = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
    found["qwen"] = _byte_pairs(QWEN, qwen)
    found["mistral"] = _byte_pairs(*_tekken(_wheel(wheels, "mistral_common")))
    deepseek = litellm.read(f"{folder}/deepseek_tokenizer.json").decode()
    found["deepseek"] = _hugging_face(Tokenizer.from_str(deepseek))
    found["llama"] = lambda texts: [len(ids) for ids in llama.encode(texts)]
    found["mbart50"] = _hugging_face(Tokenizer.from_str(mbart.decode()))
    return found


def _wheel(wheels: Path, package: str) -> zipfile.ZipFile:
    return zipfile.ZipFile(sorted(wheels.glob(f"{package}-*.whl"))[-1])


def _tiktoken(litellm: zipfile.ZipFile, folder: str) -> dict[str, Count]:
    import tiktoken

    with tempfile.TemporaryDirectory() as cache:
        os.environ["TIKTOKEN_CACHE_DIR"] = cache
        for _, file in TIKTOKEN.values():
            Path(cache, file).write_bytes(litellm.read(f"{folder}/{file}"))
        return {name: _ordinary(tiktoken.get_encoding(own)) for name, (own, _) in TIKTOKEN.items()}


def _ordinary(encoding: Any) -> Count:
    return lambda texts: [len(encoding.encode_ordinary(text)) for text in texts]


def _byte_pairs(pattern: str, ranks: dict[bytes, int]) -> Count:
    from tiktoken import Encoding

    return _ordinary(Encoding("", pat_str=pattern, mergeable_ranks=ranks, special_tokens={}))


def _tekken(wheel: zipfile.ZipFile) -> tuple[str, dict[bytes, int]]:
    told = json.loads(wheel.read("mistral_common/data/tekken_240911.json"))
    config = told["config"]
    size = config["default_vocab_size"] - config["default_num_special_tokens"]
    tokens = told["vocab"][:size]
    return config["pattern"], {base64.b64decode(t["token_bytes"]): t["rank"] for t in tokens}


def _hugging_face(tokenizer: Any) -> Count:
    return lambda texts: [
        len(read.ids) for read in tokenizer.encode_batch(texts, add_special_tokens=False)
    ]


def _lines(path: Path) -> list[Any]:
    data = path.read_bytes()
    text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    return [json.loads(line) for line in text.split("\n") if line.strip()]


def _rows(path: Path, delimiter: str = "\t") -> list[dict[str, str]]:
    lines = io.StringIO(gzip.decompress(path.read_bytes()).decode(), newline="")
    if delimiter == "\t":
        return list(csv.DictReader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE))
    return list(csv.DictReader(lines))


def made_from(data: Path) -> Iterator[Corpus]:
    """Yield FLORES, Tatoeba, the UDHR, and for Javanese and Sundanese NusaX."""
    english = {row["index_id"]: row["text"] for row in _rows(data / "flores_sib200/en.tsv.gz")}
    for known in languages.all_languages():
        rows = _rows(data / f"flores_sib200/{known.code}.tsv.gz")
        texts = [row["text"].replace(ZERO_WIDTH_SPACE, "") for row in rows]
        yield Corpus("flores", known.code, texts, [english[row["index_id"]] for row in rows])
    pairs: dict[str, list[dict[str, str]]] = {}
    for row in _rows(data / "tatoeba/tatoeba_52.tsv.gz"):
        pairs.setdefault(row["lang"], []).append(row)
    for code, rows in pairs.items():
        yield Corpus("tatoeba", code, [r["text"] for r in rows], [r["english"] for r in rows])
    yield from _udhr(data / "udhr")
    nusax = _rows(data / "nusax_mt/nusax_mt_test.csv.gz", ",")
    for column, code in (("javanese", "jv"), ("sundanese", "su")):
        yield Corpus("nusax", code, [r[column] for r in nusax], [r["english"] for r in nusax])


def _udhr(folder: Path) -> Iterator[Corpus]:
    lines = (folder / "udhr_map.tsv").read_text(encoding="utf-8").split("\n")[1:]
    members = dict(line.split("\t") for line in lines if "udhr2" in line)
    more = (pair.split("=") for pair in MORE_UDHR.split())
    members |= {code: f"udhr2/{file}.txt" for code, file in more}
    articles = {}
    with zipfile.ZipFile(folder / "udhr2.zip") as archive:
        for code, member in members.items():  # Vietnamese stands there in letters and marks apart
            text = unicodedata.normalize("NFC", archive.read(member).decode("utf-8-sig"))
            articles[code] = [line.strip() for line in text.split("\n") if line.strip()]
    for code in articles.keys() - BROKEN_UDHR:
        yield Corpus("udhr", code, articles[code], articles["en"])


def held_out(data: Path) -> Iterator[Corpus]:
    """Yield what the table was not made from."""
    alpaca = json.loads(gzip.decompress((data / "alpaca/alpaca_data.json.gz").read_bytes()))
    folder = data / "alpaca_translated"
    yield Corpus("alpaca", "en", _texts(alpaca[::5]))
    chinese = _lines(folder / "zh_carbonz0_0_10020.jsonl.gz")
    source = [alpaca[row["alpaca_index"]] for row in chinese]
    yield Corpus("alpaca", "zh", _texts(chinese), _texts(source))
    khmer = _lines(folder / "km_google_1551.jsonl.gz")
    yield Corpus("alpaca", "km", _texts(r["km"] for r in khmer), _texts(r["en"] for r in khmer))
    vietnamese = _lines(folder / "vi_alpaca_reduced.jsonl.gz")[::5]
    yield Corpus("alpaca", "vi", [row[key] for row in vietnamese for key in ("prompt", "response")])
    left = _lines(folder / "zh_hikariming_12345_15322_partly_untranslated.jsonl.gz")
    yield Corpus("half English", "zh", ["\n".join(_texts([row])) for row in left])
    mixed = [row["km"]["instruction"] + "\n" + row["en"]["output"] for row in khmer]
    yield Corpus("half English", "km", mixed)
    yield from _seeds(data / "seed_tasks")
    yield from _benchmarks(data)


def _texts(rows: Iterable[dict[str, str]]) -> list[str]:
    return [row[key] for row in rows for key in ("instruction", "input", "output")]


def _seeds(folder: Path) -> Iterator[Corpus]:
    english = {row["id"]: row["instruction"] for row in _lines(folder / "seed_tasks.en.jsonl")}
    for code in ("fr", "hu", "ru"):
        rows = [r for r in _lines(folder / f"seed_tasks.{code}.jsonl") if r["id"] in english]
        source = [english[row["id"]] for row in rows]
        yield Corpus("seed tasks", code, [row["instruction"] for row in rows], source)
    persian = _lines(folder / "persian_instruct.jsonl.gz")
    instances = [instance for row in persian for instance in row["instances"]]
    keys = ("instruction", "input", "output")
    yield Corpus("seed tasks", "fa", [str(i.get(key) or "") for i in instances for key in keys])


def _benchmarks(data: Path) -> Iterator[Corpus]:
    asked = {
        path.suffixes[0][1:]: {row["question_id"]: row["text"] for row in _lines(path)}
        for path in sorted((data / "vicuna80/questions_translated").glob("question.*.jsonl"))
    }
    english = asked.pop("en")
    for code, same in asked.items():
        yield Corpus("vicuna", code, list(same.values()), [english[number] for number in same])
    exams: dict[str, list[str]] = {}
    for row in _lines(data / "exams/test.jsonl.gz"):
        code = languages.get(row["info"]["language"].removeprefix("North ")).code
        options = [choice["text"] for choice in row["question"]["choices"]]
        exams.setdefault(code, []).append("\n".join((row["question"]["stem"], *options)))
    for code, questions in exams.items():
        yield Corpus("exams", code, questions)
    keys = ("premise", "choice1", "choice2")
    for path in sorted((data / "xcopa/data").glob("*/val.*.jsonl")):
        back = [*(data / "xcopa/data-gmt" / path.parent.name).glob("val*"), None][0]
        source = [row[key] for row in _lines(back) for key in keys] if back else None
        own = [row[key] for row in _lines(path) for key in keys]
        yield Corpus("xcopa", path.parent.name, own, source)
    nusax = _rows(data / "nusax_mt/nusax_mt_test.csv.gz", ",")
    yield Corpus("nusax", "id", [r["indonesian"] for r in nusax], [r["english"] for r in nusax])


# -- the table, and how far off it is -----------------------------------------------------


def measure(corpora: Iterable[Corpus], tokenizers: dict[str, Count]) -> dict[str, dict[str, float]]:
    """Return the facts of each language, by name as forecast.toml has them."""
    by_language: dict[str, list[Corpus]] = {}
    for corpus in corpora:
        by_language.setdefault(corpus.language, []).append(corpus)
    return {
        known.code: _facts(known, by_language[known.code], tokenizers)
        for known in languages.every_language()
    }


def _facts(
    known: languages.Language, corpora: list[Corpus], tokenizers: dict[str, Count]
) -> dict[str, float]:
    read = [corpus for corpus in corpora if corpus.name == "flores"] or corpora
    texts = [text for corpus in read for text in corpus.texts]
    characters = sum(map(len, texts))
    beyond = sum(len(text.encode()) for text in texts) - characters
    facts = {
        forecast.LENGTH: geometric_mean(corpus.ratio for corpus in corpora),
        forecast.USUAL: 0.0 if known.script == "Latn" else characters / beyond,
    }
    for name, count in tokenizers.items():
        facts[name] = (sum(count(texts)) - forecast.A_TEXT * len(texts)) / characters
    return {name: float(f"{value:.3g}") for name, value in facts.items()}


def spread(found: dict[str, dict[str, float]], held: list[Corpus]) -> float:
    """Return the factor within which the lengths of all held-out texts lie."""
    off = [abs(log(c.ratio / found[c.language][forecast.LENGTH])) for c in held if c.english]
    return ceil(exp(max(off)) * 100) / 100


def written(found: dict[str, dict[str, float]], factor: float, day: str) -> str:
    """Return the table as TOML."""
    head = [
        "# Made by benchmarks/forecast.py, not by hand; docs/money.md says how far off it is.",
        "#   length  code points of a text for each of its English source's",
        "#   usual   code points for each byte beyond one in UTF-8; 0 in Latin script",
        "#   else    tokens a code point, less one token a text",
        'source = "FLORES-200 in SIB-200; Tatoeba in LASER; UDHR; NusaX; tables of '
        'litellm 1.109.1, mistral-common 1.13.1, dashscope 2.0.2"',
        f'date = "{day}"',
        f"spread = {factor}  # other texts measured: from length / spread to length * spread",
        "",
        "[language]",
    ]
    rows = [
        f"{code} = {{ {', '.join(f'{name} = {value:g}' for name, value in facts.items())} }}"
        for code, facts in found.items()
    ]
    return "\n".join((*head, *rows, ""))


def off(corpus: Corpus, name: str, count: Count) -> float:
    """Return the relative error of the forecast tokens of all texts."""
    guesses = (forecast.tokens_of(text, corpus.language, name) for text in corpus.texts)
    return fsum(guesses) / sum(count(corpus.texts)) - 1


def report(held: list[Corpus], tokenizers: dict[str, Count], data: Path) -> Iterator[str]:
    """Yield the lines of docs/money.md's tables."""
    yield f"| text | language | length | {' | '.join(tokenizers)} |"
    for corpus in held:
        middle = forecast.characters_ratio(corpus.language).middle
        length = f"{middle / corpus.ratio - 1:+.1%}" if corpus.english else ""
        errors = (f"{off(corpus, name, count):+.1%}" for name, count in tokenizers.items())
        yield f"| {corpus.name} | {corpus.language} | {length} | {' | '.join(errors)} |"
    yield from _paper(data)


def _paper(data: Path) -> Iterator[str]:
    alpaca = json.loads(gzip.decompress((data / "alpaca/alpaca_data.json.gz").read_bytes()))
    dolly = _lines(data / "dolly/dolly_6400.jsonl.gz")
    weight = 15_011 / len(dolly)  # 6,400 of its rows are here, and their outputs are cut
    outputs = [len(row["output"]) for row in alpaca], [len(row["response"]) for row in dolly]
    asked = [len(row["instruction"]) for row in alpaca], [len(row["instruction"]) for row in dolly]
    all_52, seen, unseen = (
        [known.code for known in languages.parse(spec)]
        for spec in ("all", "seen:llama", "unseen:llama")
    )
    for what, (first, second), name, chosen, said in (
        ("instruction", asked, "mbart50", all_52, TABLE_1["mbart50"][0]),
        ("response", outputs, "mbart50", all_52, TABLE_1["mbart50"][1]),
        ("response, seen", outputs, "llama", seen, TABLE_1["llama"][0]),
        ("response, unseen", outputs, "llama", unseen, TABLE_1["llama"][1]),
    ):
        mean = (sum(first) + sum(second) * weight) / 67_013
        factors = [
            forecast.characters_ratio(code).middle * forecast.tokens_per_character(code, name)
            for code in chosen
        ]
        guess = mean * fsum(factors) / len(factors) + forecast.A_TEXT
        yield f"| {what} | {name} | {mean:.1f} | {guess:.1f} | {said} | {said / guess:.2f} |"


def main() -> None:
    """Read the command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("wheels", type=Path)
    options.add_argument("data", type=Path)
    options.add_argument("--write", metavar="DAY", default="")
    told = options.parse_args()
    tokenizers, held = read_tokenizers(told.wheels, told.data), list(held_out(told.data))
    if told.write:
        found = measure(made_from(told.data), tokenizers)
        TABLE.write_text(written(found, spread(found, held), told.write), encoding="utf-8")
    print("\n".join(report(held, tokenizers, told.data)))


if __name__ == "__main__":
    main()
