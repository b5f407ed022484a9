"""The chat page: an instruction in, an answer out, in any direction of writing.

Knows Gradio and what a speaker can do. Knows nothing of models, adapters' files or prompts:
whoever can stream an answer can be talked to.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from bactrian.errors import BactrianError
from bactrian.languages import Language
from bactrian.models.generation import GenerationSettings, stream
from bactrian.ui import offline
from bactrian.ui.offline import serve as serve

if TYPE_CHECKING:
    from collections.abc import Generator

    from fastapi import FastAPI
    from gradio import Blocks
    from gradio.components import Component

TITLE = "Bactrian-X"
BASE = "base"
"""What the model without any adapter is called among the adapters."""

CSS = """
.gradio-container { width: 100%; max-width: 76rem !important; margin: 0 auto !important; }
h1 { margin: 0.5rem 0 0; font-size: 1.75rem; font-weight: 700; }
#output[dir=rtl] > label { direction: ltr; }  /* the page stays put, the text turns round */
#loaded { color: var(--body-text-color-subdued); overflow-wrap: anywhere; }
"""

WAITING = 16
"""Questions that may wait while one is answered; the next one is turned away."""


class Speaker(Protocol):
    """Who answers."""

    @property
    def name(self) -> str:
        """The base model, as its id or path."""

    @property
    def adapters(self) -> Sequence[str]:
        """Names to choose from, the first one chosen; none where the base answers alone."""

    def language(self, adapter: str) -> Language | None:
        """Return the language that ``adapter`` answers in, None when it is one of several."""

    def stream(
        self, instruction: str, input: str, settings: GenerationSettings, adapter: str = ""
    ) -> Generator[str, None, None]:
        """Yield the whole text so far, several times a second; closing ends the answer."""


class Style(Protocol):
    """What the page has to know of a prompt style."""

    def render(self, instruction: str, input: str = "") -> str:
        """Return the prompt; the answer follows it."""


@dataclass(frozen=True)
class ModelSpeaker:
    """A model of this process with its PEFT adapters, one of which answers at a time."""

    name: str
    model: Any
    """transformers model, or PEFT model with every name of ``adapters`` loaded."""
    tokenizer: Any
    style: Style
    adapters: Sequence[str] = ()
    """PEFT's names; with ``base`` among them, the model without adapters can be chosen too."""
    languages: Mapping[str, Language] = field(default_factory=dict)
    """The language of each adapter that has one."""

    def language(self, adapter: str) -> Language | None:
        return self.languages.get(adapter)

    def stream(
        self, instruction: str, input: str, settings: GenerationSettings, adapter: str = ""
    ) -> Generator[str, None, None]:
        """Yield the answer so far, without the white space around it."""
        prompt = self.style.render(instruction, input)
        alone = adapter == BASE
        if adapter and not alone:
            self.model.set_adapter(adapter, inference_mode=True)
        with (
            self.model.disable_adapter() if alone else nullcontext(),
            closing(stream(self.model, self.tokenizer, prompt, settings)) as answer,
        ):
            for text in answer:
                yield text.strip()


def application(speaker: Speaker, settings: GenerationSettings | None = None) -> FastAPI:
    """Return the page as a FastAPI application that asks nothing of other machines."""
    import fastapi
    import gradio

    app = fastapi.FastAPI(title=TITLE, docs_url=None, redoc_url=None, openapi_url=None)
    gradio.mount_gradio_app(
        app,
        build(speaker, settings),
        path="/",
        footer_links=[],
        run_history=False,
        app_kwargs={"docs_url": None, "redoc_url": None, "openapi_url": None},
        show_error=False,
        allowed_paths=[],
        max_file_size="1kb",  # nothing is uploaded here; without a limit anything could be
        ssr_mode=False,
        enable_monitoring=False,
        pwa=False,
        mcp_server=False,
        theme=offline.theme(),
        css=offline.CSS + CSS,
        head=offline.HEAD,
    )
    app.add_middleware(offline.Offline)
    return app


def build(speaker: Speaker, settings: GenerationSettings | None = None) -> Blocks:
    """Return the page for ``speaker``; ``settings`` are what its controls show at first.

    Without ``settings`` it is the original's page with streaming switched on.
    """
    import gradio as gr

    start = settings or GenerationSettings(stream=True)
    with gr.Blocks(title=TITLE, analytics_enabled=False) as blocks:
        gr.HTML(_heading(speaker))
        with gr.Row():
            with gr.Column(min_width=320):
                fields = _question(speaker)
                with gr.Row():
                    submit = gr.Button("Submit", variant="primary", elem_id="submit")
                    stop = gr.Button("Stop", variant="stop", elem_id="stop")
            with gr.Column(min_width=320):
                answer = _answer_box(speaker)
        with gr.Accordion("How the answer is written", open=False, elem_id="settings"):
            fields |= _controls(start)
        asked = gr.on(
            [submit.click, fields["instruction"].submit, fields["input"].submit],
            _reply(speaker, fields),
            inputs=set(fields.values()),
            outputs=answer,
            show_progress="minimal",
            api_visibility="private",
        )
        stop.click(None, cancels=[asked], api_visibility="private")
        fields["adapter"].change(
            lambda adapter: gr.update(value="", **_manner(speaker, adapter)),
            inputs=fields["adapter"],
            outputs=answer,
            cancels=[asked],
            api_visibility="private",
        )
    blocks.queue(max_size=WAITING, default_concurrency_limit=1, api_open=False)
    return blocks


def _heading(speaker: Speaker) -> str:
    """Return the title and what is loaded, as HTML."""
    names = [html.escape(name) for name in speaker.adapters if name != BASE]
    loaded = {0: "no adapter", 1: f"adapter <b>{''.join(names)}</b>"}
    several = f"{len(names)} adapters"
    return (
        f"<h1>{TITLE}</h1>"
        f'<p id="loaded">Base <b>{html.escape(speaker.name)}</b> · '
        f"{loaded.get(len(names), several)}</p>"
    )


def _question(speaker: Speaker) -> dict[str, Component]:
    """Return the fields of the question, by name."""
    import gradio as gr

    first = speaker.adapters[0] if speaker.adapters else ""
    return {
        "adapter": gr.Dropdown(
            list(speaker.adapters),
            value=first or None,
            label="Adapter",
            visible=len(speaker.adapters) > 1,
            elem_id="adapter",
        ),
        "instruction": gr.Textbox(
            label="Instruction",
            placeholder="Tell me about camels. (Shift + Enter submits)",
            lines=3,
            elem_id="instruction",
            autofocus=True,
        ),
        "input": gr.Textbox(
            label="Input",
            placeholder="The text the instruction is about, if there is one",
            lines=3,
            elem_id="input",
        ),
    }


def _answer_box(speaker: Speaker) -> Component:
    import gradio as gr

    first = speaker.adapters[0] if speaker.adapters else ""
    return gr.Textbox(
        label="Output",
        lines=14,
        max_lines=30,
        interactive=False,
        buttons=["copy"],
        elem_id="output",
        **_manner(speaker, first),
    )


_SLIDERS: dict[str, tuple[str, float, float, float]] = {
    "temperature": ("Temperature", 0, 2, 0.05),
    "top_p": ("Top-p", 0.05, 1, 0.05),
    "top_k": ("Top-k", 0, 100, 1),
    "beams": ("Beams", 1, 4, 1),
    "max_tokens": ("Max tokens", 1, 2000, 1),
    "repetition_penalty": ("Repetition penalty", 1, 2, 0.05),
}
"""Label, lowest, highest, step."""


def _controls(start: GenerationSettings) -> dict[str, Component]:
    """Return a control for each setting, by its name; each says what the setting's docs say."""
    import gradio as gr

    about = {name: info.description for name, info in type(start).model_fields.items()}
    controls: dict[str, Component] = {}
    with gr.Row():
        for name, (label, low, high, step) in _SLIDERS.items():
            controls[name] = gr.Slider(
                min(low, getattr(start, name)),
                max(high, getattr(start, name)),
                getattr(start, name),
                step=step,
                label=label,
                info=about[name],
                min_width=320,
                interactive=name != "beams" or not start.stream,
                elem_id=name,
            )
    with gr.Row():
        controls["seed"] = gr.Number(
            start.seed,
            label="Seed",
            info=about["seed"],
            precision=0,
            minimum=0,
            maximum=2**53 - 1,  # what a browser can count to
            min_width=320,
            elem_id="seed",
        )
        controls["stream"] = gr.Checkbox(
            start.stream, label="Stream", info=about["stream"], min_width=320, elem_id="stream"
        )
    controls["stream"].change(
        lambda on: gr.update(interactive=not on),
        inputs=controls["stream"],
        outputs=controls["beams"],
        queue=False,
        api_visibility="private",
    )
    return controls


def _manner(speaker: Speaker, adapter: str) -> dict[str, Any]:
    """Return how a box shows what ``adapter`` writes; without a language the text decides."""
    import gradio as gr

    language = speaker.language(adapter)
    return {
        "rtl": language is not None and language.direction == "rtl",
        # browsers choose the shapes of Chinese and Japanese letters by it
        "html_attributes": gr.InputHTMLAttributes(lang=language.code if language else None),
    }


def _reply(
    speaker: Speaker, fields: Mapping[str, Component]
) -> Callable[[dict[Component, Any]], Iterator[Any]]:
    """Return what happens on Submit: the values of ``fields`` in, the text so far out."""
    import gradio as gr

    def reply(values: dict[Component, Any]) -> Iterator[Any]:
        given = {name: values[field] for name, field in fields.items()}
        instruction, about = given.pop("instruction"), given.pop("input")
        adapter = given.pop("adapter") or ""
        if not instruction.strip():
            gr.Warning("Write an instruction first.")
            yield gr.skip()
            return
        try:
            settings = GenerationSettings(**given)
            with closing(speaker.stream(instruction, about, settings, adapter)) as answer:
                yield from answer
        except BactrianError as error:
            message = html.escape(f"{error.problem}: {error.hint}")
            raise gr.Error(message, title="No answer", print_exception=False) from error

    return reply
