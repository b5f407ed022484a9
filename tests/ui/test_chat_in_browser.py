"""The chat page as people use it: in Chromium, with a speaker that follows a script."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from bactrian.errors import ConfigError
from bactrian.models.generation import GenerationSettings

pytest.importorskip("gradio")

from bactrian.ui import chat

pytestmark = pytest.mark.browser

ARABIC = (
    "الجمل سفينة الصحراء، ويعيش في المناطق الجافة. يُسمّى ذو السنامين بالإنجليزية "
    "Bactrian camel، وهو أندر.\n\n١. يصبر على العطش أيامًا.\n٢. يحمل الأثقال (حتى 200 كغ)."
)
KHMER = "អូដ្ឋមានបូកពីរ រស់នៅក្នុងវាលខ្សាច់ត្រជាក់នៃអាស៊ីកណ្តាល។"
CODE = "Python لغة برمجة."
"""Arabic that begins with Latin letters: the first letter says the wrong direction."""


@dataclass
class Visit:
    """One open page and every request it has made."""

    page: Any
    requests: list[str]

    def ask(self, instruction: str) -> None:
        self.page.locator("#instruction textarea").fill(instruction)
        self.page.locator("#submit").click()

    def output(self) -> Any:
        return self.page.locator("#output textarea")

    def wait_for(self, text: str) -> None:
        until(lambda: self.output().input_value() == text, self.page)

    def direction(self, box: str) -> str:
        script = "element => getComputedStyle(element).direction"
        return str(self.page.locator(f"#{box} textarea").evaluate(script))


def until(true: Callable[[], bool], page: Any) -> None:
    """Wait for ten seconds at most; the page goes on meanwhile."""
    for _ in range(200):
        if true():
            return
        page.wait_for_timeout(50)
    raise AssertionError("waited for ten seconds in vain")


@contextmanager
def visit(browser: Any, address: str, width: int = 1280, scheme: str = "light") -> Iterator[Visit]:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, locale="en-US"
    )
    page = context.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto(address)
    page.locator("#instruction textarea").wait_for()
    yield Visit(page, requests)
    context.close()


@pytest.fixture(scope="module")
def camels(script: Any, served: Any) -> Iterator[str]:
    speaker = script({"ar": ARABIC, "km": KHMER, "base": CODE}, adapters=("ar", "km", "base"))
    with served(speaker) as address:
        yield address


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_answers_stream_in_and_nothing_leaves_the_machine(
    browser: Any, camels: str, tmp_path: Path, width: int, scheme: str
) -> None:
    with visit(browser, camels, width, scheme) as seen:
        seen.ask("اكتب فقرة قصيرة عن الجمال.")
        seen.wait_for(ARABIC)
        assert seen.direction("output") == "rtl"
        assert seen.direction("instruction") == "rtl"
        seen.page.screenshot(path=tmp_path / f"ar-{scheme}-{width}.png", full_page=True)

        seen.page.locator("#adapter input").click()
        seen.page.get_by_role("option", name="km").click()
        until(lambda: seen.output().get_attribute("lang") == "km", seen.page)
        seen.ask("សរសេរអំពីអូដ្ឋ។")
        seen.wait_for(KHMER)
        assert seen.direction("output") == "ltr"
        assert "Noto Sans Khmer" in seen.output().evaluate("e => getComputedStyle(e).fontFamily")
        seen.page.screenshot(path=tmp_path / f"km-{scheme}-{width}.png", full_page=True)

        seen.page.get_by_text("How the answer is written").click()
        seen.page.locator("#temperature").wait_for()
        wide = seen.page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width  # nothing to scroll sideways to
        seen.page.screenshot(path=tmp_path / f"settings-{scheme}-{width}.png", full_page=True)

        hosts = {urlsplit(url).hostname for url in seen.requests if url.startswith("http")}
        others = [url for url in seen.requests if not url.startswith(("http", "data:", "blob:"))]
        assert len(seen.requests) > 10
        assert hosts == {"127.0.0.1"}
        assert others == []
        assert seen.page.title() == chat.TITLE
        dark = seen.page.evaluate("document.documentElement.matches('.dark, :has(body.dark)')")
        assert dark is (scheme == "dark")


def test_the_answer_is_seen_while_it_grows(script: Any, served: Any, browser: Any) -> None:
    speaker = script({"": "camel " * 100}, pause=0.01)
    with served(speaker) as address, visit(browser, address) as seen:
        seen.ask("Go on.")
        until(lambda: 0 < len(seen.output().input_value()) < 600, seen.page)
        early = seen.output().input_value()
        seen.wait_for("camel " * 100)

        assert ("camel " * 100).startswith(early)
        instruction, about, settings, adapter = speaker.asked[0]
        assert (instruction, about, adapter) == ("Go on.", "", "")
        assert settings == GenerationSettings(stream=True)


def test_without_a_language_the_text_sets_its_direction(
    script: Any, served: Any, browser: Any
) -> None:
    for text, direction in {ARABIC: "rtl", KHMER: "ltr", "שלום עולם": "rtl", "سلام": "rtl"}.items():
        speaker = script({"": text})
        with served(speaker) as address, visit(browser, address) as seen:
            assert seen.direction("output") == "ltr"
            seen.ask("?")
            seen.wait_for(text)
            assert seen.direction("output") == direction


def test_a_known_language_beats_the_first_letter(script: Any, served: Any, browser: Any) -> None:
    with (
        served(script({"ar": CODE}, adapters=("ar",))) as address,
        visit(browser, address) as seen,
    ):
        seen.ask("ما هي Python؟")
        seen.wait_for(CODE)

        assert seen.direction("output") == "rtl"
        assert seen.output().get_attribute("lang") == "ar"


def test_stop_stops_the_speaker_and_keeps_the_text(script: Any, served: Any, browser: Any) -> None:
    speaker = script({"": "camel " * 5000}, pause=0.01)
    with served(speaker) as address, visit(browser, address) as seen:
        seen.ask("Never end.")
        until(lambda: len(seen.output().input_value()) > 20, seen.page)
        seen.page.locator("#stop").click()
        until(speaker.closed.is_set, seen.page)
        kept = seen.output().input_value()
        seen.page.wait_for_timeout(300)

        assert 20 < len(kept) < 20_000
        assert seen.output().input_value() == kept
        speaker.lines[""] = KHMER
        seen.ask("Now end.")
        seen.wait_for(KHMER)


def test_leaving_the_page_stops_the_speaker(script: Any, served: Any, browser: Any) -> None:
    speaker = script({"": "camel " * 5000}, pause=0.01)
    with served(speaker) as address:
        with visit(browser, address) as seen:
            seen.ask("Never end.")
            until(lambda: len(seen.output().input_value()) > 20, seen.page)

        assert speaker.closed.wait(20)


def test_a_problem_is_said_with_its_next_step(script: Any, served: Any, browser: Any) -> None:
    speaker = script({}, error=ConfigError("the prompt has <i>9</i> tokens", "shorten it"))
    with served(speaker) as address, visit(browser, address) as seen:
        seen.ask("Too long")
        toast = seen.page.get_by_text("the prompt has <i>9</i> tokens: shorten it")
        toast.wait_for()


def test_an_empty_instruction_asks_nobody(script: Any, served: Any, browser: Any) -> None:
    speaker = script({"": "?"})
    with served(speaker) as address, visit(browser, address) as seen:
        seen.ask("   ")
        seen.page.get_by_text("Write an instruction first.").wait_for()

        assert speaker.asked == []


def test_what_a_model_writes_is_never_run(script: Any, served: Any, browser: Any) -> None:
    text = "</textarea><img src=x onerror=\"document.title='run'\"><script>document.title='run'"
    with served(script({"": text})) as address, visit(browser, address) as seen:
        seen.ask("?")
        seen.wait_for(text)

        assert seen.page.title() == chat.TITLE


def test_the_page_is_kept_from_asking_other_machines(browser: Any, camels: str) -> None:
    """The policy is the second line: it holds for what no stripping has found."""
    with visit(browser, camels) as seen:
        violated = """new Promise(done => {
            document.addEventListener("securitypolicyviolation", e => done(e.effectiveDirective));
            fetch("http://127.0.0.2:9/").catch(() => setTimeout(() => done("nothing"), 500));
        })"""

        assert seen.page.evaluate(violated) == "connect-src"


def test_settings_reach_the_speaker(script: Any, served: Any, browser: Any) -> None:
    speaker = script({"": KHMER})
    with served(speaker) as address, visit(browser, address) as seen:
        seen.page.get_by_text("How the answer is written").click()
        beams = seen.page.locator("#beams input[type=number]")
        beams.wait_for()
        assert beams.is_disabled()
        seen.page.locator("#stream input").uncheck()
        until(beams.is_enabled, seen.page)
        for name, value in {"beams": 2, "temperature": 0.7, "max_tokens": 77}.items():
            seen.page.locator(f"#{name} input[type=number]").fill(str(value))
            seen.page.locator(f"#{name} input[type=number]").press("Tab")
        seen.page.locator("#seed input").fill("")
        seen.page.locator("#input textarea").fill("about camels")
        seen.ask("Sum it up.")
        seen.wait_for(KHMER)

        assert speaker.asked[0][:2] == ("Sum it up.", "about camels")
        assert speaker.asked[0][2] == GenerationSettings(
            stream=False, beams=2, temperature=0.7, max_tokens=77, seed=None
        )
