"""How others open it: in PEFT, transformers, vLLM, llama.cpp and bactrian, as lines to copy."""

from __future__ import annotations

import json
from collections.abc import Iterator

from bactrian.markdown import code, fenced
from bactrian.models import prompts
from bactrian.models.portability import vllm_rank
from bactrian.publish.card.subject import Shape, Subject

PLACEHOLDERS = ("{instruction}", "{input}")


def use(subject: Subject) -> str:
    """Return the section: Python first, then servers."""
    parts = [fenced("\n".join(_python(subject)), "python")] if subject.kind != "gguf" else []
    for words, lines in _commands(subject):
        parts += [words, fenced("\n".join(lines), "sh")]
    return "\n\n".join(parts)


def prompt(subject: Subject) -> str:
    """Return the section: the style's name and one turn, as the very characters."""
    if subject.prompt is None:
        return "How it was asked in training is not known: the folder does not say it."
    ends = "The answer follows directly, and ends with the tokenizer's EOS"
    name = subject.prompt.name
    if name == "chat":
        return f"The base's own chat template, instruction and input in one user turn. {ends}."
    shown = fenced(rendered(subject), "text")
    whose = "a held-out row" if subject.example else "with its two places"
    return f"Style {code(name)}, {whose}. {ends}:\n\n{shown}"


def rendered(subject: Subject) -> str:
    """Return the prompt of the example, or of placeholders where there is none."""
    if subject.prompt is None or subject.prompt.name == "chat":
        return ""
    return prompts.style(subject.prompt).render(*(subject.example or PLACEHOLDERS))


def portability(subject: Subject) -> Iterator[str]:
    """Yield what other programs take of it."""
    shape = subject.shape
    if shape is None:
        yield "The folder is a base of its own, with its tokenizer."
        return
    if subject.encoder_decoder:
        yield "An encoder-decoder: it opens in PEFT and transformers."
        return
    yield f"PEFT and transformers: as it is ({shape.variant})."
    for one in subject.opens:
        told = f"{one.why}." if one.opens else f"no: {one.why}."
        do = f" {one.do[0].upper()}{one.do[1:]}." if one.do else ""
        yield f"{one.program}: {told}{do}"


def _python(subject: Subject) -> Iterator[str]:
    family = "AutoModelForSeq2SeqLM" if subject.encoder_decoder else "AutoModelForCausalLM"
    adapter = subject.kind == "adapter"
    named = _base(subject) if adapter else subject.where
    at = f", revision={json.dumps(subject.base.revision)}" if adapter and _pinned(subject) else ""
    if adapter and not subject.base.on_hub:
        yield f"# BASE is the folder of {subject.base.id} on your machine"
    if adapter:
        yield "from peft import PeftModel"
    yield f"from transformers import AutoTokenizer, {family}"
    yield ""
    yield f"tokenizer = AutoTokenizer.from_pretrained({json.dumps(named)}{at})"
    yield f"model = {family}.from_pretrained({json.dumps(named)}{at})"
    if adapter:
        sub = f", subfolder={json.dumps(subject.subfolder)}" if subject.subfolder else ""
        yield f"model = PeftModel.from_pretrained(model, {json.dumps(subject.where)}{sub})"
        own = ", adapter_kwargs={'subfolder': " + json.dumps(subject.subfolder) + "}" if sub else ""
        yield f"# or by transformers alone: model.load_adapter({json.dumps(subject.where)}{own})"
    yield from _asking(subject)


def _asking(subject: Subject) -> Iterator[str]:
    if subject.prompt is None:
        return
    yield ""
    if subject.prompt.name == "chat":
        content = "\n\n".join(filter(str.strip, subject.example or PLACEHOLDERS))
        turn = json.dumps([{"role": "user", "content": content}], ensure_ascii=False)
        yield f"turns = {turn}"
        yield "prompt = tokenizer.apply_chat_template("
        yield "    turns, tokenize=False, add_generation_prompt=True"
        yield ")"
        given = "prompt, add_special_tokens=False"
    else:
        yield f"prompt = {json.dumps(rendered(subject), ensure_ascii=False)}"
        given = "prompt"
    yield f'inputs = tokenizer({given}, return_tensors="pt")'
    yield "answer = model.generate(**inputs, max_new_tokens=256)[0]"
    start = "" if subject.encoder_decoder else '[inputs["input_ids"].shape[1]:]'
    yield f"print(tokenizer.decode(answer{start}, skip_special_tokens=True))"


def _commands(subject: Subject) -> Iterator[tuple[str, list[str]]]:
    if subject.kind == "gguf":
        file = subject.files[0] if subject.files else "FILE.gguf"
        yield "llama.cpp:", [f"llama-server -m {file}"]
        return
    if subject.kind != "adapter":
        yield "vLLM:", [f"vllm serve {_quoted(subject.where)}"]
        return
    shape, folder = subject.shape, subject.subfolder or subject.name
    fetched = _fetched(subject)
    if shape and subject.opens_in("vLLM"):
        yield "vLLM:", [*fetched, _vllm(subject, shape, folder)]
    if subject.opens_in("llama.cpp"):
        export = f"bactrian export gguf-adapter {_quoted(folder)} --to {_quoted(folder)}.gguf"
        serve = f"llama-server -m BASE.gguf --lora {_quoted(folder)}.gguf"
        yield (
            "llama.cpp, with the base as GGUF (`bactrian export gguf` makes one):",
            [*fetched, export, serve],
        )
    chat = f"bactrian chat --base {_quoted(subject.base.id)} --adapter {_quoted(folder)}"
    yield "A page to talk to it:", [*fetched, chat]


def _fetched(subject: Subject) -> list[str]:
    """Return what brings the folder to the reader's machine."""
    if not subject.repo:
        return []
    if subject.subfolder:
        only = f"--include {_quoted(subject.subfolder + '/*')} --local-dir ."
        return [f"hf download {subject.repo} {only}"]
    return [f"hf download {subject.repo} --local-dir {_quoted(subject.name)}"]


def _vllm(subject: Subject, shape: Shape, folder: str) -> str:
    base = _quoted(_base(subject))
    return (
        f"vllm serve {base} --enable-lora --max-lora-rank {vllm_rank(shape.rank)} "
        f"--lora-modules {_quoted(subject.name)}=./{_quoted(folder)}"
    )


def _base(subject: Subject) -> str:
    """Return the base as other programs open it; what is not on the Hub lies somewhere."""
    return subject.base.id if subject.base.on_hub else "BASE"


def _pinned(subject: Subject) -> bool:
    return bool(subject.base.on_hub and subject.base.revision)


def _quoted(text: str) -> str:
    import shlex

    return shlex.quote(text)
