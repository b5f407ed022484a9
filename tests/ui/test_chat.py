"""The chat page over HTTP, what it says it is, and a model that speaks through it."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import pytest

from bactrian import languages
from bactrian.models.generation import GenerationSettings

pytest.importorskip("gradio")

from bactrian.ui import chat


def fetch(address: str, data: bytes | None = None, **headers: str) -> tuple[int, str]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        answer = opener.open(urllib.request.Request(address, data=data, headers=headers))
    except HTTPError as refusal:
        answer = refusal
    with answer:
        return answer.status, answer.read().decode()


class Links(HTMLParser):
    """Everything in a page that makes a browser ask somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        wanted = ("src", "href", "srcset", "data", "action", "poster", "content")
        self.links += [value for name, value in attrs if name in wanted and value]


@pytest.fixture(scope="module")
def page(script: Any, served: Any) -> Iterator[str]:
    with served(script({"": "…"})) as address:
        yield address


def test_page_and_styles_name_no_other_machine(page: str) -> None:
    status, html = fetch(page)
    found = Links()
    found.feed(html)

    assert status == 200
    assert "<title>" in html or chat.TITLE in html
    styles = [link for link in found.links if link.endswith(".css")]
    assert styles
    for link in found.links:
        assert not re.match(r"\s*(https?:)?//", link), link
    for style in [*styles, "theme.css"]:
        status, css = fetch(page + style.removeprefix("./").removeprefix("/"))
        assert status == 200
        assert not re.search(r"""(url\(|@import)\s*["']?\s*(https?:)?//""", css), style


def test_nothing_but_the_page_is_offered(page: str) -> None:
    assert fetch(page + "docs")[0] == 404
    assert fetch(page + "openapi.json")[0] == 404
    status, info = fetch(page + "gradio_api/info")
    assert status != 200 or json.loads(info)["named_endpoints"] == {}


def test_uploads_are_refused(page: str) -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\n'
        + b"a" * 5000
        + b"\r\n--b--\r\n"
    )
    status, _ = fetch(
        page + "gradio_api/upload", body, **{"Content-Type": "multipart/form-data; boundary=b"}
    )

    assert status == 413


@pytest.fixture
def parts_of(in_a_loop: Any) -> Any:
    """Gives the properties of a page's components, by id."""

    def parts(speaker: Any, settings: GenerationSettings | None = None) -> dict[str, Any]:
        config = in_a_loop(lambda: chat.build(speaker, settings)).get_config_file()
        return {part["props"].get("elem_id"): part["props"] for part in config["components"]}

    return parts


@pytest.mark.parametrize(
    ("adapters", "loaded", "choice"),
    [
        ((), "no adapter", False),
        (("km",), "adapter <b>km</b>", False),
        (("ar", "km", "base"), "2 adapters", True),
    ],
)
def test_the_page_says_what_is_loaded(
    script: Any, parts_of: Any, adapters: tuple[str, ...], loaded: str, choice: bool
) -> None:
    speaker = script({}, adapters=adapters)

    assert loaded in chat._heading(speaker)
    assert "base-&lt;b&gt;1" in chat._heading(speaker)
    assert bool(parts_of(speaker)["adapter"]["visible"]) is choice


def test_every_setting_has_a_control_that_says_what_it_does(script: Any, parts_of: Any) -> None:
    parts = parts_of(script({}))

    for name, info in GenerationSettings.model_fields.items():
        assert parts[name]["info"] == info.description
        expected = True if name == "stream" else info.default
        assert parts[name]["value"] == expected


def test_controls_start_where_they_are_told(script: Any, parts_of: Any) -> None:
    parts = parts_of(script({}), GenerationSettings(temperature=1.7, top_k=300, beams=2))

    assert parts["temperature"]["value"] == 1.7
    assert (parts["top_k"]["value"], parts["top_k"]["maximum"]) == (300, 300)
    assert parts["stream"]["value"] is False
    assert parts["beams"]["interactive"] is True


@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
def test_a_model_speaks_through_the_adapter_that_is_asked() -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    transformers = pytest.importorskip("transformers")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    letters = ["</s>", *sorted(pre_tokenizers.ByteLevel.alphabet())]
    inner = Tokenizer(models.BPE(vocab={c: i for i, c in enumerate(letters)}, merges=[]))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_object=inner, eos_token="</s>")
    torch.manual_seed(1)
    config = transformers.LlamaConfig(
        vocab_size=len(letters),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        eos_token_id=0,
        bos_token_id=None,
        initializer_range=0.5,
    )
    lora = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    model = peft.get_peft_model(transformers.LlamaForCausalLM(config), lora, adapter_name="ar")
    model.add_adapter("km", lora)
    arabic = languages.get("ar")
    style = SimpleNamespace(render=lambda instruction, input="": f"{instruction}|{input}|")
    speaker = chat.ModelSpeaker(
        "tiny", model.eval(), tokenizer, style, ("ar", "km", "base"), {"ar": arabic}
    )
    settings = GenerationSettings(temperature=0, max_tokens=16, stream=True)

    said = {
        name: list(speaker.stream("Say", "it", settings, name))[-1]
        for name in ("ar", "km", "base", "ar")
    }
    again = list(speaker.stream("Say", "it", settings, "km"))[-1]

    assert len(set(said.values())) == 3
    assert again == said["km"]
    assert speaker.language("ar") == arabic
    assert speaker.language("km") is None
