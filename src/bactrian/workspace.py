"""Where the files of a project lie. Knows names and places, not contents."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bactrian.errors import ConfigError
from bactrian.languages import Language, parse
from bactrian.recipe import Recipe, load


@dataclass(frozen=True, slots=True)
class Workspace:
    """A folder with a recipe, and everything that is made from it."""

    root: Path
    recipe: Recipe
    recipe_folder: Path
    """Paths in the recipe are relative to this."""

    @property
    def languages(self) -> tuple[Language, ...]:
        """The target languages, in the recipe's order."""
        return parse(self.recipe.languages)

    @property
    def dataset(self) -> Path:
        """The dataset folder that is published."""
        return self.root / "datasets" / self.recipe.name

    @property
    def results(self) -> Path:
        """Scores, results and the report."""
        return self.root / "results" / self.recipe.name

    @property
    def runs(self) -> Path:
        """One folder a run."""
        return self.root / "runs"

    def ledger(self, language: Language) -> Path:
        """What was paid for in one language."""
        return self.dataset / "ledger" / f"{language.code}.sqlite"

    def stage(self, stage: str, language: str) -> Path:
        """The rows that a stage made in one language."""
        return self.dataset / "stages" / stage / f"{language}.parquet"

    def split(self, language: str, split: str) -> Path:
        """One Parquet file of the published dataset."""
        return self.dataset / "data" / language / f"{split}-00000-of-00001.parquet"

    def adapter(self, name: str) -> Path:
        """The PEFT folder of one adapter."""
        return self.root / "adapters" / name

    def model(self, name: str) -> Path:
        """A base of its own, whose every weight was trained."""
        return self.root / "models" / name

    @property
    def tokens(self) -> Path:
        """Rows as token ids, made anew where they are gone."""
        return self.root / "adapters" / ".tokens"

    def given(self, path: str) -> Path:
        """Resolve a path written in the recipe."""
        return self.recipe_folder / Path(path).expanduser()

    def adapters(self) -> dict[str, tuple[Language, ...]]:
        """Return the adapters to train, name to languages."""
        told = self.recipe.train.adapters or {self.recipe.name: self.recipe.languages}
        return {name: parse(spec) for name, spec in told.items()}


def open_workspace(place: Path, overrides: tuple[str, ...] = ()) -> Workspace:
    """Open a folder that holds a ``recipe.toml``, or the folder of the recipe named."""
    if place.suffix == ".toml":
        path, root = place, place.parent
    elif place.is_dir():
        path, root = place / "recipe.toml", place
        if not path.is_file():
            raise ConfigError(
                f"{place} has no recipe.toml",
                f"copy one there: cp recipes/demo.toml {path}",
            )
    else:
        raise ConfigError(
            f"{place} does not exist", "name a folder with a recipe.toml, or a recipe"
        )
    return Workspace(root, load(path, overrides), path.parent)
