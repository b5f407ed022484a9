"""``python -m bactrian.evaluate.lm_eval``: what ``bactrian-lm-eval`` does."""

from bactrian.evaluate.lm_eval.command import main

main()
