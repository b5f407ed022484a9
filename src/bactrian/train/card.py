"""The README of a folder that was trained, from what was measured and told; nothing is invented.

Knows nothing of models or files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bactrian.languages import Language
from bactrian.markdown import code, isolated, quoted, size, table
from bactrian.models.adapters import AdapterFacts
from bactrian.models.portability import VLLM_RANKS, vllm_rank
from bactrian.models.prompts import PromptStyle
from bactrian.recipe import Recipe
from bactrian.train.history import Course


@dataclass(frozen=True, slots=True)
class Weights:
    """What was saved."""

    parameters: int
    bytes: int
    """Of the values; the file's heading comes to it."""
    dtype: str
    rank: int = 0
    """As PEFT's configuration has it, PiSSA's twice the recipe's; 0 for a whole model."""
    alpha: int = 0
    targets: tuple[str, ...] = ()
    held: int = 0
    """Parameters among them that were not trained: the half that PiSSA holds."""


@dataclass(frozen=True, slots=True)
class Learnt:
    """The training rows of one language."""

    content: str
    """Hash of the dataset's rows."""
    rows: int
    shortened: int
    left_out: int
    """Too long, or without a response."""


@dataclass(frozen=True, slots=True)
class Made:
    """What the training was, beside what the recipe says and ``bactrian.json`` keeps."""

    weights: Weights
    precision: str
    """What the base computed in, as ``Base.precision``."""
    data: Mapping[str, Learnt]
    """By language, in the adapter's order."""
    held_out: Mapping[str, Course]
    encoder_decoder: bool = False
    loads: str = ""
    """What ``from_pretrained`` takes for the base; empty where it is none of its names."""


def card(
    facts: AdapterFacts,
    recipe: Recipe,
    languages: tuple[Language, ...],
    style: PromptStyle,
    made: Made,
) -> str:
    """Return the card as Markdown with the Hub's YAML front matter."""
    whole = recipe.train.adapter == "none"
    names = ", ".join(f"{language.name} ({language.code})" for language in languages)
    begun = code(facts.base)
    if whole:
        what = f"{begun} with every weight trained in {names}, made with bactrian."
    else:
        what = f"A LoRA adapter for {begun} in {names}, trained with bactrian."
    parts = [
        "\n".join(_front(facts, recipe, languages)),
        f"# {isolated(facts.name)}",
        what,
        "## Prompt",
        _prompt(facts, style, made),
        "## Use",
        _use(facts, recipe, made),
        "## Training",
        table(("what", "value"), _settings(facts, recipe, made)),
        "## Languages",
        _languages(facts, made),
        "## Portability",
        "\n".join(f"- {line}" for line in _portability(recipe, made)),
        "## Limits",
        "What the data says, the model learns: translated instructions carry translation errors.",
    ]
    if recipe.licences:
        parts.append(f"The data passes on the licence {', '.join(recipe.licences)}.")
    return "\n\n".join(parts) + "\n"


def _front(facts: AdapterFacts, recipe: Recipe, languages: tuple[Language, ...]) -> Iterator[str]:
    whole = recipe.train.adapter == "none"
    yield "---"
    yield f"base_model: {quoted(facts.base)}"
    yield f"base_model_relation: {'finetune' if whole else 'adapter'}"
    yield f"library_name: {'transformers' if whole else 'peft'}"
    yield "pipeline_tag: text-generation"
    licences = ", ".join(quoted(licence.lower()) for licence in recipe.licences)
    if licences:
        yield f"license: {f'[{licences}]' if len(recipe.licences) > 1 else licences}"
    yield "language:"
    yield from (f"  - {quoted(language.code)}" for language in languages)
    yield "---"


def _prompt(facts: AdapterFacts, style: PromptStyle, made: Made) -> str:
    text = style.render("{instruction}", "{input}").replace("\n", "\n    ")
    follows = "The decoder answers" if made.encoder_decoder else "The answer follows directly"
    return (
        f"Style {code(facts.prompt)}. {follows}, and ends with the tokenizer's EOS:\n\n    {text}"
    )


def _use(facts: AdapterFacts, recipe: Recipe, made: Made) -> str:
    whole = recipe.train.adapter == "none"
    family = "AutoModelForSeq2SeqLM" if made.encoder_decoder else "AutoModelForCausalLM"
    base = made.loads or "the base's folder"
    at = f', revision="{facts.base_revision}"' if facts.base_revision and not whole else ""
    named = "this folder" if whole else base
    lines = [
        f"from transformers import AutoTokenizer, {family}",
        "",
        f'tokenizer = AutoTokenizer.from_pretrained("{named}"{at})',
        f'model = {family}.from_pretrained("{named}"{at})',
    ]
    if not whole:
        lines.insert(0, "from peft import PeftModel")
        lines.append('model = PeftModel.from_pretrained(model, "this folder")')
    return "```python\n" + "\n".join(lines) + "\n```"


def _settings(facts: AdapterFacts, recipe: Recipe, made: Made) -> Iterator[tuple[str, str]]:
    """Yield every setting that the weights follow from."""
    train, weights = recipe.train, made.weights
    yield "base", code(facts.base)
    if facts.base_revision:
        yield "revision", code(facts.base_revision)
    yield "base, by its hash", code(facts.base_fingerprint)
    yield "computed in", made.precision
    if train.adapter == "lora":
        yield from _of_lora(recipe, weights)
    held = f", {weights.held:,} of them held" if weights.held else ""
    yield "parameters", f"{weights.parameters:,}{held} ({size(weights.bytes)}, {weights.dtype})"
    warm = (
        f"{train.warmup_steps} steps" if train.warmup_steps else f"{train.warmup:.3g} of the steps"
    )
    yield "learning rate", f"{train.learning_rate:g}, {train.schedule}, warm-up {warm}"
    yield "weight decay, clip", f"{train.weight_decay:g}, {train.clip:g}"
    batch = f"{train.batch_tokens} tokens on average, padding not counted"
    yield "batch", f"{train.batch_rows} rows" if train.batch_rows else batch
    yield "languages drawn by", f"rows^(1/{train.temperature:g})"
    most = f", at most {train.max_steps} steps" if train.max_steps else ""
    yield "epochs", f"{train.epochs:g}{most}"
    yield "optimizer steps, tokens seen", f"{facts.steps}, {facts.tokens}"
    yield from _of_rows(recipe, made)
    yield "seed", str(recipe.seed)


def _of_lora(recipe: Recipe, weights: Weights) -> Iterator[tuple[str, str]]:
    lora = recipe.train.lora
    yield "variant", lora.variant
    yield "rank, alpha, dropout", f"{weights.rank}, {weights.alpha}, {lora.dropout:g}"
    yield "targets", ", ".join(map(code, weights.targets))
    if lora.plus_ratio:
        yield "LoRA+ ratio", f"{lora.plus_ratio:g}"


def _of_rows(recipe: Recipe, made: Made) -> Iterator[tuple[str, str]]:
    train = recipe.train
    if made.encoder_decoder:
        yield "longest source", f"{train.max_source_tokens or train.max_tokens} tokens"
        yield "longest target", f"{train.max_tokens} tokens"
    else:
        yield "longest example", f"{train.max_tokens} tokens"
    yield "longer ones", "shortened" if train.overlong == "shorten" else "left out"
    yield "loss on", "all tokens" if train.train_on_inputs else "response tokens only"


def _languages(facts: AdapterFacts, made: Made) -> str:
    head = ("language", "rows", "shortened", "left out", "training", "held-out", "data")
    rows = []
    for language, learnt in made.data.items():
        trained, course = facts.losses.get(language), made.held_out.get(language)
        rows.append(
            (
                language,
                str(learnt.rows),
                str(learnt.shortened),
                str(learnt.left_out),
                "" if trained is None else f"{trained:.3f}",
                "" if course is None else f"{course.first:.3f} → {course.last:.3f}",
                code(learnt.content),
            )
        )
    told = (
        "Losses are nats a token, EOS counted: the last one reported in training, and on held-out "
        "rows before the first step → at the last measurement."
    )
    return f"{table(head, rows)}\n\n{told}"


def _portability(recipe: Recipe, made: Made) -> Iterator[str]:
    weights, variant = made.weights, recipe.train.lora.variant
    yield "No token was added: the vocabulary is the base's."
    if recipe.train.adapter == "none":
        yield "The folder is a base of its own, with its tokenizer."
        return
    if variant == "pissa":
        yield (
            f"PiSSA is saved as a plain LoRA of twice its rank ({weights.rank}); the weights of "
            "the base are not changed."
        )
    if variant == "dora":
        yield "DoRA: it opens in PEFT; other programs may know plain LoRA only."
    allowed = vllm_rank(weights.rank)
    if variant != "dora" and not made.encoder_decoder:
        yield (
            f"vLLM takes it with `--max-lora-rank {allowed}` or more."
            if allowed
            else f"vLLM takes ranks up to {VLLM_RANKS[-1]}, and this one has {weights.rank}."
        )
