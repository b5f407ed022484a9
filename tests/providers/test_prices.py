"""What is billed: whose figures come first, which name stands for which, and what stays unknown."""

from __future__ import annotations

from pathlib import Path

import pytest

from bactrian import recipe
from bactrian.errors import ConfigError
from bactrian.providers import Price, prices
from bactrian.providers.prices import price_of

NOTHING = recipe.Price()
LIST = "price list of 2026-11-21"
OURS = """
source = "our contract"
date = 2026-12-01

[openai.models]
gpt-4o-mini = { input = 0.1, output = 0.5 }
"gpt-9" = { input = 7, output = 8, date = "2026-12-24", note = "on trial" }

[google.models]
nmt = { characters = 10 }

[house]
hosts = ["llm.example.org"]
hosted = true
batch = 0.4

[house.models]
"Qwen/Qwen3-32B" = { input = 0.02, output = 0.03 }
gpt-4o-mini = { input = 0.01, output = 0.02 }
"""


@pytest.fixture
def ours(tmp_path: Path) -> Path:
    path = tmp_path / "ours.toml"
    path.write_text(OURS, encoding="utf-8")
    return path


# -- the built-in list --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("using", "model", "expected"),
    [
        ("openai", "gpt-4o-mini", Price(0.15, 0.6, None, LIST)),
        ("openai", "claude-haiku-4-5", Price(1.0, 5.0, None, LIST)),
        ("openai", "gpt-4o-mini-2024-07-18", Price(0.15, 0.6, None, f"{LIST}, as gpt-4o-mini")),
        ("openai", "openai/gpt-4o-mini", Price(0.15, 0.6, None, f"{LIST}, as gpt-4o-mini")),
        (
            "openai",
            "openrouter/openai/GPT-4o-Mini-2024-07-18",
            Price(0.15, 0.6, None, f"{LIST}, as gpt-4o-mini"),
        ),
        (
            "openai",
            "claude-haiku-4-5@20251001",
            Price(1.0, 5.0, None, f"{LIST}, as claude-haiku-4-5"),
        ),
        (
            "openai",
            "models/gemini-2.5-flash",
            Price(0.3, 2.5, None, f"{LIST}, as gemini-2.5-flash"),
        ),
    ],
)
def test_a_model_is_found_by_its_name_and_it_is_said_which(
    using: str, model: str, expected: Price
) -> None:
    assert price_of(using, model, NOTHING) == expected


def test_a_dated_model_with_a_price_of_its_own_is_not_taken_for_the_other() -> None:
    """gpt-4o began at 5 and 15 USD, and costs 2.50 and 10."""
    dated = price_of("openai", "openai/gpt-4o-2024-05-13", NOTHING)
    assert (dated.input, dated.output) == (5.0, 15.0)
    assert price_of("openai", "gpt-4o-2024-08-06", NOTHING).input == 2.5


def test_a_model_that_is_no_longer_sold_says_so() -> None:
    assert price_of("openai", "gpt-3.5-turbo", NOTHING).source == f"{LIST}, sold until 2026-10-23"


def test_translators_are_billed_by_characters() -> None:
    google = price_of("google", "nmt", NOTHING)
    assert (google.input, google.output, google.characters) == (None, None, 20.0)
    assert google.known
    assert google.of(characters=500e6) == pytest.approx(10_000)  # Li et al. 2023, section 3.1
    assert "500,000" in google.source
    assert price_of("google", "general/translation-llm", NOTHING).characters == 20.0
    for model in ("", "deepl", "quality_optimized"):
        assert price_of("deepl", model, NOTHING).characters == 25.0


@pytest.mark.parametrize("using", sorted(prices.RUNS_HERE))
@pytest.mark.parametrize("model", ["", "recorded", "facebook/nllb-200-distilled-600M", "gpt-4o"])
def test_what_runs_here_costs_nothing(using: str, model: str) -> None:
    price = price_of(using, model, NOTHING)
    assert price == Price(0.0, 0.0, 0.0, "runs here")
    assert price.known


@pytest.mark.parametrize(
    ("using", "model"),
    [
        ("openai", "my-own-model"),
        ("openai", ""),
        ("openai", "*"),
        ("openai", "ft:gpt-4o-mini-2024-07-18:me"),  # fine-tuned costs twice as much
        ("openai", "deepseek/deepseek-chat:free"),
        ("openai", "gpt-4o-minimal"),
        ("openai", "nmt"),  # a chat model counts tokens; a price for characters would make it free
        ("google", "gpt-4o-mini"),  # a translator counts characters
        ("google", "openai/gpt-4o-mini"),
        ("google", ""),
        ("nobody", "nothing"),
    ],
)
def test_what_nobody_has_said_stays_unknown(using: str, model: str) -> None:
    for batch in (False, True):
        price = price_of(using, model, NOTHING, batch=batch)
        assert (price.input, price.output, price.characters) == (None, None, None)
        assert not price.known
        assert f"{using}:{model}" in price.source
        assert "docs/money.md" in price.source


# -- open weights: another price at each host ---------------------------------------------


def test_open_weights_are_only_priced_where_the_host_is_named() -> None:
    model = "openai/gpt-oss-120b"
    unknown = price_of("openai", model, NOTHING)
    assert not unknown.known
    assert "together" in unknown.source and "deepinfra" in unknown.source
    found = {
        host: price_of("openai", model, NOTHING, endpoints=(f"https://{host}/v1",)).input
        for host in ("api.together.xyz", "api.deepinfra.com", "api.groq.com")
    }
    assert found == {"api.together.xyz": 0.15, "api.deepinfra.com": 0.037, "api.groq.com": 0.15}
    own_server = ("http://localhost:8000/v1",)
    assert not price_of("openai", model, NOTHING, endpoints=own_server).known


def test_a_host_may_be_named_before_the_model() -> None:
    price = price_of("openai", "together/Qwen/Qwen3.5-9B", NOTHING)
    assert (price.input, price.source) == (0.17, f"{LIST}, as Qwen/Qwen3.5-9B")


def test_an_address_goes_before_the_name_of_the_provider(ours: Path) -> None:
    at = ("https://llm.example.org/v1",)
    assert price_of("openai", "gpt-4o-mini", NOTHING, ours).input == 0.1
    assert price_of("openai", "gpt-4o-mini", NOTHING, ours, endpoints=at).input == 0.01


# -- the recipe's figures -----------------------------------------------------------------


def test_the_recipe_goes_first() -> None:
    told = recipe.Price(input=1.0, output=2.0)
    assert price_of("openai", "gpt-4o-mini", told) == Price(1.0, 2.0, None, "recipe")
    assert price_of("openai", "unheard-of", told) == Price(1.0, 2.0, None, "recipe")
    free = price_of("openai", "my-own-model", recipe.Price(input=0, output=0))
    assert free.known and free.of(1e6, 1e6) == 0
    assert price_of("seq2seq", "nllb", recipe.Price(characters=0.5)).characters == 0.5


def test_what_the_recipe_leaves_out_comes_from_the_list() -> None:
    price = price_of("openai", "gpt-4o-mini", recipe.Price(input=1.0))
    assert price == Price(1.0, 0.6, None, f"recipe; {LIST}")
    half = price_of("openai", "unheard-of", recipe.Price(input=1.0))
    assert (half.input, half.output, half.known) == (1.0, None, False)


def test_the_recipes_figures_are_not_halved_for_a_batch() -> None:
    told = recipe.Price(input=1.0, output=2.0)
    assert price_of("openai", "gpt-4o", told, batch=True) == Price(1.0, 2.0, None, "recipe")


# -- batches ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "endpoint", "expected", "word"),
    [
        ("gpt-4o-mini", "", (0.075, 0.3), "batch"),
        ("claude-haiku-4-5", "", (0.5, 2.5), "batch"),
        ("gpt-3.5-turbo-1106", "", (1.0, 2.0), "batch without a discount"),
        ("deepseek-v4-flash", "", (0.3, 1.2), "batch without a discount"),
        ("grok-4.7", "", (1.6, 4.8), "batch"),
        ("Qwen/Qwen3-32B", "https://api.deepinfra.com/v1/openai", (0.064, 0.224), "batch"),
    ],
)
def test_a_batch_costs_what_its_seller_takes_off(
    model: str, endpoint: str, expected: tuple[float, float], word: str
) -> None:
    endpoints = (endpoint,) if endpoint else ()
    price = price_of("openai", model, NOTHING, endpoints=endpoints, batch=True)
    assert (price.input, price.output) == pytest.approx(expected)
    assert word in price.source.split(", ")


# -- the user's list ----------------------------------------------------------------------


def test_the_users_list_goes_before_the_built_in_one(ours: Path) -> None:
    named = "ours.toml of 2026-12-01"
    assert price_of("openai", "gpt-4o-mini", NOTHING, ours) == Price(0.1, 0.5, None, named)
    dated = price_of("openai", "gpt-4o-mini-2024-07-18", NOTHING, ours)
    assert dated == Price(0.1, 0.5, None, f"{named}, as gpt-4o-mini")
    assert price_of("google", "nmt", NOTHING, ours) == Price(None, None, 10.0, named)
    assert price_of("openai", "gpt-4o", NOTHING, ours).source == LIST
    assert price_of("openai", "gpt-4o-mini", NOTHING).input == 0.15


def test_an_entry_may_have_a_date_and_a_note_of_its_own(ours: Path) -> None:
    price = price_of("openai", "gpt-9", NOTHING, ours)
    assert price == Price(7.0, 8.0, None, "ours.toml of 2026-12-24; on trial")


def test_a_star_stands_for_every_other_model_of_an_endpoint(tmp_path: Path) -> None:
    path = tmp_path / "star.toml"
    path.write_text(
        '[house]\nhosts = ["llm.example.org"]\nmodels."*" = { input = 1, output = 2 }\n'
        "models.cheap = { input = 0.1, output = 0.2 }\n",
        encoding="utf-8",
    )
    at = ("https://llm.example.org:8443/v1",)
    for model, expected in (("anything", 1.0), ("gpt-4o", 1.0), ("cheap", 0.1)):
        assert price_of("openai", model, NOTHING, path, endpoints=at).input == expected
    assert price_of("openai", "star", NOTHING, path, endpoints=at).source == "star.toml"
    assert not price_of("openai", "anything", NOTHING, path).known


def test_a_seller_of_the_users_own_and_what_the_list_says_of_batches(ours: Path) -> None:
    at = ("https://llm.example.org/v1",)
    price = price_of("openai", "Qwen/Qwen3-32B", NOTHING, ours, endpoints=at, batch=True)
    assert (price.input, price.output) == pytest.approx((0.008, 0.012))
    # the user's section of OpenAI says nothing of batches: the built-in factor holds
    assert price_of("openai", "gpt-4o-mini", NOTHING, ours, batch=True).input == 0.05


@pytest.mark.parametrize(
    ("text", "problem", "hint"),
    [
        ("[openai.models]\nx = { inputs = 1 }", "openai.models.x.inputs", "did you mean input?"),
        ("[openai]\nhost = []", "openai.host", "did you mean hosts?"),
        ("[openai.models]\nx = { input = -1 }", "openai.models.x.input", "docs/money.md"),
        ("[openai.models]\nx = { input = nan }", "openai.models.x.input", "docs/money.md"),
        ("[openai.models]\nx = 3", "openai.models.x", "docs/money.md"),
        ("openai = 3", "openai", "docs/money.md"),
        ("[openai", "is no price list", "docs/money.md"),
    ],
)
def test_a_list_that_cannot_be_meant_is_refused_by_its_key(
    tmp_path: Path, text: str, problem: str, hint: str
) -> None:
    path = tmp_path / "wrong.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as told:
        price_of("openai", "gpt-4o", NOTHING, path)
    assert "wrong.toml" in told.value.problem and problem in told.value.problem
    assert hint in told.value.hint


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml does not exist"):
        price_of("openai", "gpt-4o", NOTHING, tmp_path / "absent.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is no price list"):
        price_of("openai", "gpt-4o", NOTHING, tmp_path / "bytes.toml")


# -- the file itself ----------------------------------------------------------------------


def test_the_built_in_list_is_dated_and_no_price_in_it_is_zero() -> None:
    table = prices.built_in()
    assert table.date == "2026-11-21" and "litellm" in table.source
    models = [model for seller in table.sellers.values() for model in seller.models.values()]
    assert len(models) > 100
    for model in models:
        if model.characters is None:
            assert model.input and model.output and model.input <= model.output
        else:
            assert model.characters > 0 and model.source


def test_batches_are_never_dearer_and_sellers_have_one_address_each() -> None:
    table = prices.built_in()
    hosts = [host for seller in table.sellers.values() for host in seller.hosts]
    assert len(hosts) == len(set(hosts))
    for seller in table.sellers.values():
        assert 0.4 <= seller.batch <= 1
        for model in seller.models.values():
            assert (model.batch_input is None) == (model.batch_output is None)
            if model.batch_input and model.input:
                assert model.input / 2 <= model.batch_input <= model.input


def test_every_model_of_the_list_is_found_under_its_own_name() -> None:
    for name, seller in prices.built_in().sellers.items():
        for key, model in seller.models.items():
            at = tuple(f"https://{host}/v1" for host in seller.hosts)
            price = price_of(name, key, NOTHING, endpoints=at)
            assert (price.input, price.output) == (model.input, model.output), key
            assert price.characters == model.characters
            assert price.known
