"""Log-likelihoods of lm-eval's requests by the engine, for models in this process and served ones.

The whole file needs lm-eval.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from lm_eval import utils
from tqdm import tqdm

from bactrian import table
from bactrian.errors import DataError
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.lm_eval.opened import shared
from bactrian.evaluate.lm_eval.pairs import Join, PairEncoder, tally
from bactrian.evaluate.lm_eval.scored import score
from bactrian.models.scoring import Request, fit

Answer = tuple[float, bool]
"""Log-likelihood (nats) and whether greedy decoding would have written the text."""
NOTHING: Answer = (0.0, True)
"""What an empty continuation gets."""


class Likelihoods:
    """What lm-eval asks of a model besides texts; mixed into a class of lm-eval's.

    ``counts`` tell what a reader of the numbers has to know: contexts cut from the left, pairs in
    which a token spanned the join, empty continuations.
    """

    ready: Scorers
    counts: Counter[str]
    bars: bool
    """Whether progress is drawn."""
    budget: int
    """Tokens scored at once."""
    if TYPE_CHECKING:
        max_length: int
        prefix_token_id: int | None
        add_bos_token: bool | None
        cache_hook: Any

    def loglikelihood(self, requests: list[Any], disable_tqdm: bool = False) -> list[Answer]:
        """Return log-likelihood and greediness of each (context, continuation)."""
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
        return PairEncoder(self.ready.base.tokenizer, self.prefix_token_id, self.add_bos_token)

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
            for found in score(self.ready.scorer, fitting, self.budget):
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
            prefix_token=self._encoder.first,
            max_seq_len=self.max_length,
            context_len=1,
        )
        yield from map(utils.make_disjoint_window, windows)
