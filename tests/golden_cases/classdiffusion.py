"""The semantic preservation loss around the recorded stand-in text encoder."""

import torch

from counterpoint.encoders.token_rows import only_rows_learn
from counterpoint.objectives.classdiffusion import semantic_preservation


def run(case):
    table, modifier = case["token_embeddings"], case.params["modifier_token_id"]
    weights, pool = case["position_weights"], case["pool_matrix"]

    def pooled(ids):
        states = table[ids]
        return torch.tanh((weights[: ids.shape[1], None] * states).sum(1) @ pool)

    loss = semantic_preservation(pooled(case["ids_modifier_plus_class"]), pooled(case["ids_class"]))
    handle = only_rows_learn(table, [modifier])
    (grad,) = torch.autograd.grad(loss, table, retain_graph=True)
    handle.remove()
    others = torch.arange(len(table)) != modifier
    return {
        "loss": loss,
        "grad_modifier_embedding": grad[modifier],
        "max_abs_grad_other_rows": grad[others].abs().max(),
    }
