"""The few lines that go with a merged model until it gets a card: what it is, and how it is known.

``bactrian publish model`` writes the whole card in their place.
"""

from __future__ import annotations

from typing import Any

from bactrian.publish.exported import Exported
from bactrian.publish.merge.merged import MergedWeights

FEW = 4
"""Adapters that are named in one line."""


def readme(record: Exported, weights: MergedWeights) -> str:
    """Return the README of a merged folder, as Markdown."""
    at = f" at `{record.base_revision}`" if record.base_revision else ""
    several = len(record.parts) > 1
    lines = [
        f"# {names(record)}, merged into {record.base}",
        "",
        f"`{record.base}`{at} with {'these LoRA adapters' if several else 'this LoRA adapter'} "
        f"in its weights ({record.dtype}, {weights.parameters:,} parameters, "
        f"{len(weights.made)} of {len(weights.shapes)} tensors changed):",
        "",
        *(f"- {_part(part)}" for part in record.parts),
        "",
        f"Method: {record.method}. Prompt style: {record.prompt}, as the chat template says it.",
        *_changes(record, weights),
        "",
        "## How it is known to be right",
        "",
        proof_line(record.proof),
    ]
    if record.command:
        lines += ["", "## How to make it again", "", "```", record.command, "```"]
    return "\n".join(lines) + "\n"


def names(record: Exported) -> str:
    """Return what the adapters are called, in one phrase however many they are."""
    told = [part.name for part in record.parts]
    return " + ".join(told) if len(told) <= FEW else f"{len(told)} adapters"


def proof_line(proof: Any) -> str:
    """Return what a proof found, in a sentence or two."""
    if proof["kind"] == "logits":
        scripts = (
            f" Other tokens in: {', '.join(proof['differing'])}." if proof["differing"] else ""
        )
        return (
            f"Largest difference of a logit from {proof['against']}: {proof['difference']:.2g} "
            f"(their standard deviation is {proof['spread']:.2g}), on {proof['probes']} prompts in "
            f"as many scripts; {proof['same_tokens']} of {proof['tokens']} greedy tokens are the "
            f"same.{scripts}"
        )
    if proof["kind"] == "weights":
        return (
            f"Proved on the weights alone: each of the {proof['tensors']} tensors was read back "
            f"and held against {proof['against']}; the largest difference is "
            f"{proof['difference']:.1e} of a tensor's length. No logits were compared."
        )
    return "It was not checked (`--proof none`)."


def _part(part: Any) -> str:
    told = [f"share {part.share:g}"] if part.share != 1 else []
    told += [", ".join(part.languages)] if part.languages else []
    return f"`{part.name}`" + (f" ({'; '.join(told)})" if told else "")


def _changes(record: Exported, weights: MergedWeights) -> list[str]:
    told = []
    if weights.untied:
        told.append(
            "The base's head shares its values with the embedding; here each has its own, since "
            "the adapter changes one of them."
        )
    if weights.rows is not None:
        told.append(f"The embedding has {weights.rows} rows, as the adapter brings it.")
    if dequantised := record.proof.get("dequantised"):
        told.append(
            f"The base was stored quantised ({dequantised}) and made plain first: what its "
            "quantisation lost is lost here too."
        )
    return [line for sentence in told for line in ("", sentence)]
