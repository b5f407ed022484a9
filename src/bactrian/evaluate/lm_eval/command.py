"""``bactrian-lm-eval``: lm-eval's own command line, which knows ``--model bactrian`` here.

lm-eval 0.4.13 finds models in a list of its own and nowhere else, so that a plug-in has to be
registered in the process that asks for it. That is done, and lm-eval is called. What is added:
``adapters=base;a;b`` is one run and one table each over one loaded base, and ``--use_cache`` is
kept apart by model, where lm-eval gives one model's answers to the next.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bactrian import table
from bactrian.errors import EXIT_INTERRUPTED, BactrianError, ConfigError
from bactrian.evaluate.engine import adapter_hash
from bactrian.evaluate.lm_eval import MODEL, register
from bactrian.evaluate.lm_eval.arguments import read, spread
from bactrian.evaluate.lm_eval.opened import one_base
from bactrian.models.base import locate
from bactrian.models.huge_pages import huge_pages


def main(arguments: Sequence[str] | None = None) -> None:
    """Run lm-eval's command line; a problem of the user's is two lines and an exit code."""
    told = list(sys.argv[1:] if arguments is None else arguments)
    huge_pages()
    try:
        run(told)
    except BactrianError as error:
        sys.stdout.flush()
        sys.stderr.write(f"error: {error.problem}\nhint: {error.hint}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("error: interrupted\nhint: with --use_cache, answers are kept\n")
        sys.exit(EXIT_INTERRUPTED)


def run(arguments: Sequence[str]) -> None:
    """Do what the arguments say, once for each model they name; raises BactrianError."""
    register()
    from lm_eval._cli import HarnessCLI
    from lm_eval.utils import setup_logging

    setup_logging()
    harness = HarnessCLI()
    with _called(arguments):
        asked = harness.parse_args()
    several = list(runs(asked))
    with one_base(), _indexed_once(len(several)):
        for one in several:
            try:
                harness.execute(one)
            except ValueError as error:
                if not str(error).startswith("Tasks not found"):
                    raise
                raise ConfigError(
                    str(error), "lm_eval ls tasks prints all; --include_path adds a folder"
                ) from None


def runs(asked: Namespace) -> Iterator[Namespace]:
    """Yield one run for each model; what is not ours is one, as it is."""
    if getattr(asked, "command", "") != "run":
        yield asked
        return
    from_file = _file(asked)
    model = asked.model or from_file.get("model") or MODEL
    if model != MODEL:
        yield asked
        return
    given = asked.model_args or from_file.get("model_args") or {}
    cache = asked.use_cache or from_file.get("use_cache")
    for told in spread(_values(given)):
        key = _key(told)  # a base or an adapter that is not there is found before anything runs
        own = {"use_cache": f"{cache}-{key}" if cache else None}
        yield Namespace(**{**vars(asked), "model": MODEL, "model_args": told, **own})


def _file(asked: Namespace) -> Mapping[str, Any]:
    """Return what the file named by ``--config`` says."""
    if not asked.config:
        return {}
    from lm_eval.config.evaluate_config import EvaluatorConfig

    told: Mapping[str, Any] = EvaluatorConfig.load_yaml_config(asked.config)
    return told


def _values(given: str | Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(given, str):
        return given
    from lm_eval.utils import simple_parse_args_string

    told: Mapping[str, Any] = simple_parse_args_string(given)
    return told


def _key(told: Mapping[str, Any]) -> str:
    """Return a hash of what computes the numbers: base, adapter and every other argument."""
    known = read(told)
    place = locate(known.pretrained, network=known.network, revision=known.revision)
    adapter = adapter_hash(Path(known.peft).expanduser()) if known.peft else ""
    others = known.model_dump(exclude={"pretrained", "peft", "batch_size", "max_batch_size"})
    return table.hash_of(place.fingerprint, adapter, sorted(map(str, others.items())))[:16]


@contextmanager
def _called(arguments: Sequence[str]) -> Iterator[None]:
    """Have lm-eval's parser, which reads the process's own arguments, read these."""
    before = sys.argv
    sys.argv = ["bactrian-lm-eval", *arguments]
    try:
        yield
    finally:
        sys.argv = before


@contextmanager
def _indexed_once(count: int) -> Iterator[None]:
    """Read lm-eval's thousands of task files once for all runs, and not once for each."""
    if count < 2:
        yield
        return
    from lm_eval.tasks._index import TaskIndex

    build = TaskIndex.build
    known: dict[str, dict[str, Any]] = {}

    def remembered(paths: Any, **told: Any) -> dict[str, Any]:
        key = str(([str(path) for path in paths], told))
        if key not in known:
            known[key] = build(paths, **told)
        return dict(known[key])

    TaskIndex.build = staticmethod(remembered)
    try:
        yield
    finally:
        TaskIndex.build = staticmethod(build)
