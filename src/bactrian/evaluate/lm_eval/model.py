"""The engine as a model of lm-evaluation-harness: ``--model bactrian``.

What lm-eval's own transformers model does with texts, chat templates and answers is left to it;
log-likelihoods are computed here. The whole file needs lm-eval.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from lm_eval import utils
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM

from bactrian import __version__
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.lm_eval.arguments import read, spread
from bactrian.evaluate.lm_eval.likelihoods import NOTHING, Answer, Likelihoods
from bactrian.evaluate.lm_eval.opened import (
    name_of,
    one_base,
    open_model,
    together,
)
from bactrian.models.scoring import Request


@register_model("bactrian")
class BactrianLM(Likelihoods, HFLM):  # type: ignore[misc]
    """One model for lm-eval: a base, with one adapter or with none."""

    def __init__(self, pretrained: str | Scorers, **told: Any) -> None:
        """Load what ``--model_args`` tell, or take what is loaded already.

        Raises ConfigError and AdapterError, see ``arguments.read`` and ``opened.open_model``.
        """
        if isinstance(pretrained, Scorers):
            self.told = read({**told, "pretrained": pretrained.base.id})
            self.ready = pretrained
        else:
            self.told = read({**told, "pretrained": pretrained})
            self.ready = open_model(self.told)
        self.counts: Counter[str] = Counter()
        self.bars = True
        self.budget = self.told.batch_tokens
        self.scored = name_of(self.ready)
        with _unheard():
            super().__init__(
                pretrained=self.ready.model,
                tokenizer=self.ready.base.tokenizer,
                batch_size=self.told.rows,
                max_length=self.told.max_length,
                add_bos_token=self.told.add_bos_token,
                prefix_token_id=self.told.prefix_token_id,
                think_end_token=self.told.think_end_token,
                enable_thinking=self.told.enable_thinking,
                chat_template_args=self.told.chat_template_args,
            )
        if (processes := together()) is not None:  # lm-eval shares documents out by rank
            self.accelerator = processes
            self._rank, self._world_size = processes.process_index, processes.num_processes

    @classmethod
    def create_from_arg_obj(
        cls, arg_dict: dict[str, Any], additional_config: dict[str, Any] | None = None
    ) -> BactrianLM:
        """Make the model of ``--model_args``; options of the command line give way to them."""
        options = {key: told for key, told in (additional_config or {}).items() if told is not None}
        return cls(**{**options, **arg_dict})

    @classmethod
    def create_from_arg_string(
        cls, arg_string: str, additional_config: dict[str, Any] | None = None
    ) -> BactrianLM:
        """Make the model of ``key=value,key=value``."""
        return cls.create_from_arg_obj(
            utils.simple_parse_args_string(arg_string), additional_config
        )

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Answer]:
        """Return log-likelihood and greediness of each (context, continuation)."""
        if self.enable_thinking:  # which it refuses, in words
            return list(HFLM.loglikelihood(self, requests, disable_tqdm))
        return super().loglikelihood(requests, disable_tqdm)

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Return the text that the model writes after each prompt, as lm-eval has it written."""
        return list(super().generate_until(requests, disable_tqdm or not self.bars))

    def _loglikelihood_tokens(
        self,
        requests: Sequence[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        override_bs: int | None = None,
    ) -> list[Answer]:
        """Return the answers to requests that are token ids already."""
        asked = [Request(tuple(context), tuple(after)) for _, context, after in requests]
        answers = [NOTHING] * len(asked)
        for index, answer in self._answers(asked, disable_tqdm):
            answers[index] = answer
        return answers

    def get_model_info(self) -> dict[str, Any]:
        """Return what computed the numbers, and what happened on the way, for results.json."""
        base = self.ready.base
        return {
            "model_num_parameters": self._model.num_parameters(),
            "model_dtype": base.precision,
            "model_revision": base.location.revision,
            "model_sha": base.location.fingerprint,
            "model_key": self.ready.keys[self.scored],
            "bactrian": __version__,
            "pairs_encoded_apart": self.counts["spanned"],
            "contexts_cut": self.counts["cut"],
            "continuations_empty": self.counts["empty"],
        }


def each(**told: Any) -> Iterator[tuple[str, BactrianLM]]:
    """Yield name and model of ``adapters=…`` one after the other, over one loaded base.

    A model is of use until the next one is asked for: its adapter is taken off then.
    """
    with one_base():
        for one in spread(told):
            yield one.get("peft") or "base", BactrianLM(**one)


@contextmanager
def _unheard() -> Iterator[None]:
    """Keep lm-eval from warning that a model was loaded by somebody else: it was, by us."""
    logger = logging.getLogger("lm_eval.models.huggingface")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
