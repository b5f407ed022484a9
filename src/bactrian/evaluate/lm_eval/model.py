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
from tqdm import tqdm

from bactrian import __version__, table
from bactrian.errors import DataError
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.lm_eval.arguments import read, spread
from bactrian.evaluate.lm_eval.opened import (
    name_of,
    one_base,
    open_model,
    shared,
    together,
)
from bactrian.evaluate.lm_eval.pairs import Join, PairEncoder, tally
from bactrian.evaluate.lm_eval.scored import score
from bactrian.models.scoring import Request, fit

Answer = tuple[float, bool]
"""Log-likelihood (nats) and whether greedy decoding would have written the text."""
NOTHING: Answer = (0.0, True)
"""What an empty continuation gets."""


@register_model("bactrian")
class BactrianLM(HFLM):  # type: ignore[misc]
    """One model for lm-eval: a base, with one adapter or with none.

    ``counts`` tell what a reader of the numbers has to know: contexts cut from the left, pairs in
    which a token spanned the join, empty continuations.
    """

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
            return list(super().loglikelihood(requests, disable_tqdm))
        pairs = [request.args for request in requests]
        joins = self._joins(pairs)
        self.counts += tally(joins)
        answers = [NOTHING] * len(joins)
        places = [place for place, join in enumerate(joins) if join.continuation]
        asked = [Request(joins[place].context, joins[place].continuation) for place in places]
        for index, answer in self._answers(asked, disable_tqdm):
            answers[places[index]] = answer
            self.cache_hook.add_partial("loglikelihood", pairs[places[index]], answer)
        return answers

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        """Return the log-likelihood of each text, every token scored once, in windows."""
        texts = [request.args[0] for request in requests]
        owners, windows = [], []
        for owner, ids in enumerate(self._encoder.begun(texts)):
            for context, continuation in self._windows(ids):
                owners.append(owner)
                windows.append(Request(tuple(context), tuple(continuation)))
        values = [0.0] * len(windows)
        for index, (value, _) in self._answers(windows, disable_tqdm):
            values[index] = value
        sums = [0.0] * len(texts)
        for owner, value in zip(owners, values, strict=True):  # in order, as lm-eval adds them
            sums[owner] += value
        for text, value in zip(texts, sums, strict=True):
            self.cache_hook.add_partial("loglikelihood_rolling", (text,), value)
        return sums

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

    def notes(self) -> list[str]:
        """Return what a reader of the numbers has to know, in words; nothing where all is plain."""
        said = {
            "cut": "contexts were longer than the model and cut from the left",
            "spanned": "pairs had a token that spanned the join, and were encoded apart",
            "empty": "continuations were empty, and count as certain",
        }
        return [f"{self.counts[name]} {text}" for name, text in said.items() if self.counts[name]]

    @property
    def _encoder(self) -> PairEncoder:
        return PairEncoder(self.tokenizer, self.prefix_token_id, self.add_bos_token)

    def _joins(self, pairs: Sequence[tuple[str, str]]) -> list[Join]:
        """Encode the pairs; what the adapter before was asked is not encoded again."""
        common = shared()
        if common is None:
            return list(self._encoder.pairs(pairs))
        key = table.hash_of(self.prefix_token_id, self.add_bos_token, pairs)
        if key not in common.kept:
            common.kept = {key: list(self._encoder.pairs(pairs))}
        found: list[Join] = common.kept[key]
        return found

    def _answers(
        self, requests: Sequence[Request], disable_tqdm: bool
    ) -> Iterator[tuple[int, Answer]]:
        """Yield the index of each request and its answer, as batches end."""
        fitting = [self._fitted(request) for request in requests]
        with tqdm(
            total=len(fitting), disable=disable_tqdm or not self.bars, desc="Scoring requests"
        ) as bar:
            for found in score(self.ready.scorer, fitting, self.told.batch_tokens):
                yield found.place, (found.log_likelihood, found.greedy)
                bar.update()

    def _fitted(self, request: Request) -> Request:
        """Cut a context from the left as lm-eval does: the last token is never read, so one more
        than the model's length fits."""
        try:
            cut = fit(request, self.max_length + 1, keep_first=False)
        except ValueError:
            raise DataError(
                f"{len(request.continuation)} tokens are to be scored, {self.max_length} fit",
                "leave the text out, or name a base with a longer context",
            ) from None
        self.counts["cut"] += bool(cut.dropped)
        return cut.request

    def _windows(self, ids: Sequence[int]) -> Iterator[tuple[list[int], list[int]]]:
        windows = utils.get_rolling_token_windows(
            token_list=list(ids),
            prefix_token=self.prefix_token_id,
            max_seq_len=self.max_length,
            context_len=1,
        )
        yield from map(utils.make_disjoint_window, windows)


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
