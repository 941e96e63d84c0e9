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
    positive, negative = (
        case[f"beta_draw_{side}"].detach() if f"beta_draw_{side}" in case.inputs else None
        for side in ("pos", "neg")
    )
    if positive is not None and params.get("expolation_mask", False):
        positive = 1 + positive
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
