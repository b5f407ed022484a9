"""lm-evaluation-harness, both ways: our engine as its model, its tasks on our engine.

The extra ``lm-eval`` brings it. Nothing of it is imported before it is asked for.
"""

from __future__ import annotations

from importlib.util import find_spec

from bactrian.errors import MissingExtra

MODEL = "bactrian"
"""What the engine is called as a model of lm-eval."""
CLASS = "bactrian.evaluate.lm_eval.model:BactrianLM"


def register() -> None:
    """Make ``model="bactrian"`` known to lm-eval in this process; doing it twice does no harm.

    Raises MissingExtra where lm-eval is not installed.
    """
    need()
    import lm_eval.models  # noqa: F401  # its own models come first, or they never do
    from lm_eval.api.registry import model_registry

    if MODEL not in model_registry:
        model_registry.register(MODEL, target=CLASS)


def need() -> None:
    """Raise MissingExtra where lm-eval is not installed."""
    if find_spec("lm_eval") is None:
        raise MissingExtra(
            "lm-evaluation-harness is not installed", "pip install 'bactrian[lm-eval]'"
        )
