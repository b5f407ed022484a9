"""Tasks of lm-eval, found by name and built; and what each asks about its documents.

Knows lm-eval's own objects, no model. Names are those of ``lm_eval ls tasks``: tasks, groups, tags,
paths of YAML files, and the tasks in folders of the user's own.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

from bactrian.errors import ConfigError, DataError, did_you_mean
from bactrian.evaluate.lm_eval import need

SEED = 1234
"""Of the examples before a question, as lm-eval's own command line has it."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """One task of lm-eval that has documents of its own."""

    name: str
    task: Any
    """lm-eval's object."""

    @property
    def is_choice(self) -> bool:
        """Whether its questions have options of which one is right, scored by likelihood."""
        task = self.task
        metrics = getattr(task, "_metric_fn_list", {})
        return (
            task.OUTPUT_TYPE == "multiple_choice"
            and not task.multiple_target
            and "acc_mutual_info" not in metrics  # asks every option twice
        )

    @property
    def shots(self) -> int:
        """Examples before each question."""
        return int(self.task.config.num_fewshot or 0)

    @property
    def told(self) -> str:
        """What its file says that can change a number, functions by their source.

        Where file and data lie is left out: the data themselves are hashed with what they ask.
        """
        facts = dict(self.task.dump_config())
        facts.pop("dataset_kwargs", None)
        metadata = dict(facts.pop("metadata", None) or {})
        metadata.pop("config_source", None)
        text = str([sorted(facts.items()), sorted(metadata.items(), key=str)])
        return re.sub(r" at 0x[0-9a-f]+", "", text)  # where a function lies in memory


@dataclass(frozen=True, slots=True)
class Asked:
    """What lm-eval asks about one document."""

    id: int
    """Its place in the data."""
    document: Any
    pairs: tuple[tuple[Any, ...], ...]
    """Of each request of a question with options, context and continuation; else, what it has: a
    text, or a prompt and how to write on."""


def load(name: str, folders: Sequence[str] = (), *, network: bool = False) -> tuple[Leaf, ...]:
    """Return the tasks that a name stands for: one, or those of a group or a tag.

    ``folders`` are searched before lm-eval's own, which takes seconds to read. Raises ConfigError
    for a name that is nowhere, DataError where the data of a task cannot be read.
    """
    need()
    with quiet(), _offline(not network):
        manager = _knowing(name, tuple(folders))
        if name not in manager.task_index and not _is_file(name):
            raise ConfigError(
                f"lm-eval has no task {name}", _near(name, manager.all_tasks) or "lm_eval ls tasks"
            )
        try:
            found = manager.load([name])["tasks"]
        except Exception as error:  # whatever a task file or a data set does wrong
            raise _refusal(name, error, network) from error
    return tuple(_checked(Leaf(name, task)) for name, task in sorted(found.items()))


def asked(leaf: Leaf, limit: int | None = None) -> Iterator[Asked]:
    """Yield what is asked about each document, the first ``limit`` of them, as lm-eval asks it."""
    task = leaf.task
    task.set_fewshot_seed(seed=SEED)
    for number, document in task.doc_iterator(limit=limit):
        context = task.fewshot_context(
            document, num_fewshot=leaf.shots, gen_prefix=task.doc_to_prefix(document)
        )
        made = task.construct_requests(
            doc=document,
            ctx=context,
            metadata=(leaf.name, number, 1),
            apply_chat_template=False,
            chat_template=None,
        )
        several = made if isinstance(made, list) else [made]
        yield Asked(number, document, tuple(tuple(one.args[:2]) for one in several))


def _checked(leaf: Leaf) -> Leaf:
    """Return a task that we can measure, its number of examples set; raises ConfigError."""
    task = leaf.task
    if getattr(task, "UNSAFE_CODE", False):
        raise ConfigError(
            f"lm_eval:{leaf.name} runs code that the model writes",
            "bactrian-lm-eval --confirm_run_unsafe_code runs it, in a place where it may",
        )
    if getattr(task, "MULTIMODAL", False):
        raise ConfigError(
            f"lm_eval:{leaf.name} asks about pictures or sounds", "choose a task of text alone"
        )
    if task.config.num_fewshot is None:
        task.set_config(key="num_fewshot", value=0)
    return leaf


def _knowing(name: str, folders: tuple[str, ...]) -> Any:
    """Return a manager of lm-eval that knows the name, its own thousands only where needed."""
    from lm_eval.tasks import TaskManager

    if folders or _is_file(name):
        manager = TaskManager(include_path=list(folders) or None, include_defaults=False)
        if _is_file(name) or _whole(name, manager.task_index):
            return manager
    return _all(folders)


@lru_cache(maxsize=2)
def _all(folders: tuple[str, ...]) -> Any:
    """Return a manager that knows lm-eval's own tasks as well; it takes seconds to make."""
    from lm_eval.tasks import TaskManager

    return TaskManager(include_path=list(folders) or None)


def _whole(name: object, index: Mapping[str, Any]) -> bool:
    """Whether a name is known together with all that it stands for."""
    entry = index.get(name) if isinstance(name, str) else None
    if entry is None:
        return False
    members = (entry.cfg or {}).get("task") if entry.kind.name == "GROUP" else ()
    return isinstance(members, (list, tuple)) and all(_whole(one, index) for one in members)


def _is_file(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _near(name: str, known: Sequence[str]) -> str:
    """Return a hint where something is near; the list of what there is would fill pages."""
    hint = did_you_mean(name, known)
    return hint if hint.endswith("?") else ""


def _refusal(name: str, error: Exception, network: bool) -> ConfigError | DataError:
    said = str(error).strip().partition("\n")[0] or type(error).__name__
    if isinstance(error, (ConnectionError, FileNotFoundError)):
        return DataError(
            f"the data of lm_eval:{name} cannot be read: {said}",
            "see to the data set it names"
            if network
            else "set network = true once to fetch them, or write a YAML that names local "
            "data_files and put its folder into [eval] lm_eval_paths",
        )
    return ConfigError(f"lm_eval:{name} cannot be built: {said}", "mend its task file or its data")


@contextmanager
def quiet() -> Iterator[None]:
    """Keep lm-eval's log, and bars that count what takes no time, from between our own lines."""
    import datasets
    from lm_eval.api import task

    logger, shown, bar = logging.getLogger("lm_eval"), datasets.is_progress_bar_enabled(), task.tqdm
    before = logger.level
    logger.setLevel(logging.ERROR)
    datasets.disable_progress_bars()
    task.tqdm = partial(bar, disable=True)
    try:
        yield
    finally:
        task.tqdm = bar
        logger.setLevel(before)
        if shown:
            datasets.enable_progress_bars()


@contextmanager
def _offline(off: bool) -> Iterator[None]:
    """Keep data sets from being looked for on the Hub, where the recipe keeps the network off."""
    import datasets
    from huggingface_hub import constants

    if not off:
        yield
        return
    before = constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE, datasets.config.HF_HUB_OFFLINE = before
