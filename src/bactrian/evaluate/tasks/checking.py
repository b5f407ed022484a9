"""Refuses items that are not in order, by name, before any model is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bactrian.errors import DataError
from bactrian.evaluate.tasks import Item, Rules


def checked(items: Iterable[Item], where: str, rules: Rules) -> Iterator[Item]:
    """Yield the items; ``where`` is task and language.

    Raises DataError for the first with an id that was there, no options, an option that is empty,
    a right answer that is none of them, contexts or texts of another number, or, where options are
    labels, other labels than the items before. A task without items is refused as well.
    """
    seen: set[str] = set()
    labels: tuple[str, ...] = ()
    for item in items:
        if item.id in seen:
            raise DataError(f"{where}: the id {item.id} is there twice", "give every item its own")
        seen.add(item.id)
        labels = labels or item.texts or item.options
        if wrong := _wrong(item) or _other_labels(item, labels, rules):
            raise DataError(f"{where} {item.id}: {wrong}", "mend the data, or leave the item out")
        yield item
    if not seen:
        raise DataError(f"{where} has no items", "see to its data")


def _wrong(item: Item) -> str:
    """Return what is wrong with an item by itself, or nothing."""
    count = len(item.options)
    if not count:
        return "it has no options"
    if not 0 <= item.gold < count:
        return f"the right answer is option {item.gold} of {count}, counted from 0"
    for name, texts in (("contexts", item.contexts), ("texts", item.texts)):
        if texts and len(texts) != count:
            return f"{len(texts)} {name} for {count} options"
    # what follows a gap may be nothing but a space: then the contexts say what is asked
    if any(not option or not (option.strip() or item.contexts) for option in item.options):
        return "an option is empty"
    return ""


def _other_labels(item: Item, labels: tuple[str, ...], rules: Rules) -> str:
    if rules.metric == "f1" and (item.texts or item.options) != labels:
        return f"its labels are {item.texts or item.options}, those before were {labels}"
    return ""
