"""The pages say what the code does: the recipe's reference, the commands, the links."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bactrian.cli import app
from bactrian.recipe.reference import MARK, reference

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "demo" / "README.md"])
VERBS = {verb.name for verb in app.registered_commands}
VERBS |= {group.name for group in app.registered_groups}


def test_the_reference_of_the_recipe_is_that_of_the_settings() -> None:
    page = ROOT / "docs" / "recipe.md"
    head = page.read_text(encoding="utf-8").partition(MARK)[0]
    wanted = head + reference()
    if os.environ.get("BACTRIAN_RENEW_DOCS"):
        page.write_text(wanted, encoding="utf-8")
    assert page.read_text(encoding="utf-8") == wanted, "run make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_and_links_in_a_page_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"```.*?```|`[^`\n]+`", text, flags=re.DOTALL))
    for verb in re.findall(r"(?:^|`|\$ |&& )bactrian ([a-z]+)", code, flags=re.MULTILINE):
        assert verb in VERBS, f"{page}: there is no bactrian {verb}"
    for target in re.findall(r"\]\((?!https?:|#)([^)]+)\)", text):
        assert (page.parent / target).exists(), f"{page}: {target} is not there"
    for target in re.findall(r"\bdocs/[a-z0-9_/-]+\.md\b", text):
        assert (ROOT / target).exists(), f"{page}: {target} is not there"
    made = re.findall(r"make ([a-z-]+)`", text)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in made:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), f"{page}: make {target}"


def test_every_hint_that_names_a_page_names_one_that_is_there() -> None:
    for path in (ROOT / "src").rglob("*.py"):
        for target in re.findall(r"docs/[a-z0-9_/-]+\.md", path.read_text(encoding="utf-8")):
            assert (ROOT / target).exists(), f"{path}: {target} is not there"
