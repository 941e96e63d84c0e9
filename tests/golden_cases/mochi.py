"""Loss with recorded mixtures, its logits, the hardest rows, and the queue afterwards."""

import torch

from counterpoint.objectives.mochi import mochi
from counterpoint.pairs.mixing import Mixtures, hardest_rows
from counterpoint.pairs.queue import MemoryQueue


def run(case):
    q, k, queue = case["q"], case["k"].detach(), case["queue"].detach()
    temperature = case.params["temperature"]
    mixtures = Mixtures(
        *(drawn(case, name).long() for name in ("type1_queue_index_i", "type1_queue_index_j")),
        drawn(case, "alpha"),
        drawn(case, "type2_queue_index_j").long(),
        drawn(case, "beta"),
    )
    unit = torch.nn.functional.normalize(q, dim=1)
    real = [(unit * k).sum(1, keepdim=True), unit @ queue.T]
    memory = MemoryQueue(*queue.shape).double()
    memory.enqueue(queue)
    memory.enqueue(k)
    hard = hardest_rows(unit, queue, case.params["N"])
    return {
        "topN_queue_indices_sorted_by_index": hard.sort(1).values,
        "logits": torch.cat([*real, mixtures.similarities(unit, queue)], 1) / temperature,
        "loss": mochi(q, k, queue, temperature, mixtures=mixtures),
        "queue_after": memory.features,
    }


def drawn(case, name):
    """Recorded draws, or none of every query."""
    if case.inputs.get(name) is None or not case[name].numel():
        return case["q"].detach()[:, :0]
    return case[name].detach()
