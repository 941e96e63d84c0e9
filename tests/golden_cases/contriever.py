"""A step with momentum encoder and queue, and the in-batch loss."""

import torch
from torch import nn

from counterpoint.encoders.momentum import MomentumCopy
from counterpoint.engine.similarity import unit_rows
from counterpoint.objectives.queue_contrast import contriever, contriever_in_batch
from counterpoint.pairs.queue import MemoryQueue


def run(case):
    params = case.params
    smoothing = params["label_smoothing"]
    if "W" in case.inputs:
        queries, passages = case["x_q"] @ case["W"], case["x_k"] @ case["W"]
        queries = unit_rows(queries) if params.get("norm_query") else queries
        passages = unit_rows(passages) if params.get("norm_doc") else passages
        loss = contriever_in_batch(
            queries,
            passages,
            params["temperature"],
            label_smoothing=smoothing,
            normalize=params.get("norm", False),
        )
        return {"loss": loss}
    online, momentum = linear(case["W_q"]), MomentumCopy(linear(case["W_k_before"]), 0.0)
    momentum.momentum = params["momentum"]
    queue = held(case)
    queries = case["x_q"] @ case["W_q"]
    momentum.update(online)
    keys = momentum(case["x_k"])
    loss = contriever(
        queries,
        keys,
        queue.features,
        params["temperature"],
        label_smoothing=smoothing,
        normalize_queries=params["norm_query"],
        normalize_keys=params["norm_doc"],
    )
    queue.enqueue(unit_rows(keys) if params["norm_doc"] else keys)
    return {
        "loss": loss,
        "W_k_after": momentum.network.weight.T,
        "queue_after": queue.rows.T,
        "queue_ptr_after": queue.pointer,
    }


def linear(weight):
    layer = nn.Linear(*weight.shape, bias=False, dtype=torch.float64)
    layer.load_state_dict({"weight": weight.detach().T})
    return layer


def held(case):
    columns = case["queue_before"].detach()
    queue = MemoryQueue(columns.shape[1], columns.shape[0], start="random").double()
    queue.rows.copy_(columns.T)
    queue.pointer.fill_(int(case["queue_ptr"]))
    return queue
