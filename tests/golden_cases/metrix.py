"""The clean loss and both mixed terms, their pairs rebuilt from the labels."""

import torch

from counterpoint.objectives.metrix import metrix, mixed_margin_parts, pair_margin
from counterpoint.pairs.metric_mixing import (
    MixedPairs,
    anchor_negative_pairs,
    positive_negative_pairs,
)


def run(case):
    embedding, labels, params = case["embedding"], case["labels"], case.params
    margin = params["neg_margin"]
    if "lambda" not in params:
        return {"loss": pair_margin(embedding, labels, margin=margin)}
    both = "positive" in case.inputs
    recorded = MixedPairs(
        case["anchor"], case["positive"] if both else case["anchor"], case["negative"]
    )
    parts = mixed_margin_parts(embedding, recorded, params["lambda"], margin=margin)
    clean = pair_margin(embedding, labels, margin=margin)
    total = clean + params["w"] * (parts[0] + parts[1])
    if both:
        pairs = positive_negative_pairs(labels, first_positive_only=True)
    else:
        pairs = anchor_negative_pairs(labels)
    if all(torch.equal(a, b) for a, b in zip(pairs, recorded, strict=True)):
        total = metrix(
            embedding,
            labels,
            params["lambda"],
            pairing="positive_negative" if both else "anchor_negative",
            mixing=params["w"],
            margin=margin,
            first_positive_only=True,
        )
    return {
        "pos_part": parts[0],
        "neg_part": parts[1],
        "mix_loss": parts[0] + parts[1],
        "total": total,
        "loss": total,
    }
