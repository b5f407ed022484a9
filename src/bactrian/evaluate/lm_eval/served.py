"""A model behind a server, for lm-eval's evaluator. The whole file needs lm-eval."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from lm_eval.api.model import LM
from lm_eval.models.utils import (
    handle_stop_sequences,
    normalize_gen_kwargs,
    postprocess_generated_text,
)

from bactrian.errors import ConfigError
from bactrian.evaluate.backends.writing import ServedWriter, Turns
from bactrian.evaluate.engine import Scorers
from bactrian.evaluate.lm_eval.likelihoods import Likelihoods

LONGEST = 256
"""Tokens of an answer where a task does not say, as with lm-eval's own models."""
STOPS = 4
"""Stop texts that servers of OpenAI's interface take; what follows the others is cut here."""
SENT = ("temperature", "top_p", "seed")
IGNORED = ("do_sample", "until", "max_gen_toks")
"""Read here, or said by the temperature."""
NOT_SAID = 1 << 30


class ServedLM(Likelihoods, LM):  # type: ignore[misc]
    """One served model. Its tokens are the server's, and its contexts are cut as lm-eval's are."""

    def __init__(self, ready: Scorers, writer: ServedWriter, budget: int) -> None:
        """Take what the server was opened as; raises ConfigError for one of conversations."""
        super().__init__()
        if isinstance(writer.tokenizer, Turns):
            raise ConfigError(
                "lm-eval's tasks are texts to go on with, and the recipe has a server of "
                'conversations (train.prompt = "chat")',
                "measure them in a run of their own, with another train.prompt",
            )
        self.ready = ready
        self.writer = writer
        self.budget = budget
        self.counts = Counter()
        self.bars = False
        self.add_bos_token = None
        tokens = writer.tokenizer
        self.prefix_token_id = tokens.bos_token_id
        if self.prefix_token_id is None:
            self.prefix_token_id = tokens.eos_token_id
        self.max_length = writer.limit or NOT_SAID

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        """Return what the server writes after each text, up to the first of the stops."""
        prompts, told, stops = [], [], []
        contexts = [request.args[0] for request in requests]
        encoded: Any = self.writer.tokenizer(contexts)["input_ids"]
        for request, ids in zip(requests, encoded, strict=True):
            given = request.args[1]
            how = normalize_gen_kwargs(given, LONGEST)
            stop = [one for one in handle_stop_sequences(how.get("until"), eos=None) if one]
            room = self.max_length - how["max_gen_toks"]
            if room < 1:
                raise ConfigError(
                    f"answers of {how['max_gen_toks']} tokens are asked for, and the server's "
                    f"model takes {self.max_length} with the prompt",
                    "start the server with a longer context",
                )
            self.counts["cut"] += len(ids) > room
            prompts.append(ids[-room:])
            told.append({**_sent(how), "stop": stop[:STOPS]})
            stops.append(stop)
        written = self.writer.written(prompts, told)
        texts = []
        for request, one, stop in zip(requests, written, stops, strict=True):
            text = postprocess_generated_text(one.text, stop, None)
            self.cache_hook.add_partial("generate_until", request.args, text)
            texts.append(text)
        return texts


def _sent(how: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server is told of how to write; raises ConfigError for what none is."""
    if unknown := [name for name in how if name not in (*SENT, *IGNORED)]:
        raise ConfigError(
            f"the task wants answers with {', '.join(unknown)}, which a server is not told",
            "leave it out, or measure it without --backend",
        )
    told = {name: how[name] for name in SENT if how.get(name) is not None}
    return {"temperature": 0, **told, "max_tokens": how["max_gen_toks"]}
