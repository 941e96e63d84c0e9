"""Loss with recorded draws, its logits, and the queue afterwards."""

import torch

from counterpoint.objectives.feature_transformation import (
    TransformationDraws,
    feature_transformation,
    transform,
)
from counterpoint.pairs.queue import MemoryQueue


def run(case):
    q, k, queue, params = case["q"], case["k"].detach(), case["queue"].detach(), case.params
    positive = case["beta_draw_pos"].detach() if "beta_draw_pos" in case.inputs else None
    if positive is not None and params["expolation_mask"]:
        positive = 1 + positive
    negative = case["beta_draw_neg"].detach() if "beta_draw_neg" in case.inputs else None
    order = None if negative is None else case["perm"]
    draws = TransformationDraws(positive, negative, order)
    shared = {"postmix_norm": params.get("postmix_norm", False)}
    q_new, k_new, queue_new = transform(q, k, queue, draws, **shared)
    scores = torch.cat([(q_new * k_new).sum(1, keepdim=True), q_new @ queue_new.T], 1)
    memory = MemoryQueue(*queue.shape).double()
    memory.enqueue(queue)
    memory.enqueue(k)
    loss = feature_transformation(
        q, k, queue, params["temperature"], draws=draws, normalize=False, **shared
    )
    return {
        "logits": scores / params["temperature"],
        "loss": loss,
        "queue_after": memory.features,
    }
