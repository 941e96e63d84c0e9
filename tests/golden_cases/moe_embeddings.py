"""Both ranking losses with their targets, and the block of routed experts."""

import torch

from counterpoint.encoders.experts import GatedFeedForward, RoutedExperts
from counterpoint.objectives.multiple_negatives import mnr, mnr_plus, self_similarity_targets


def run(case):
    if "hidden" in case.inputs:
        return {"y": routed(case)}
    x, y = case["batch1"], case["batch2"]
    unit, temperature = case.params["normalize"], case.params.get("temperature", 1.0)
    one = mnr(x, y, temperature, normalize=unit)
    both = mnr_plus(x, y, temperature, targets="self_similarity", normalize=unit)
    rows, columns = self_similarity_targets(x, y, temperature, normalize=unit)
    one_grads = torch.autograd.grad(one, [x, y])
    both_grads = torch.autograd.grad(both, [x, y])
    return {
        "mnr_loss": one,
        "mnr_grad_a": one_grads[0],
        "mnr_grad_b": one_grads[1],
        "mnr_plus_loss": both,
        "mnr_plus_grad_a": both_grads[0],
        "mnr_plus_grad_b": both_grads[1],
        "targets_rows": rows,
        "targets_cols": columns,
    }


def routed(case):
    hidden, count = case["hidden"], case.params["num_experts"]
    inner = case["expert0.Wo.weight"].shape[1]
    kinds = ("weight", "bias") if "expert0.Wi.bias" in case.inputs else ("weight",)
    dense = GatedFeedForward(hidden.shape[-1], inner, bias="bias" in kinds)
    block = RoutedExperts(dense, count).double()
    block.load_state_dict(
        {
            f"experts.{expert}.{layer}.{kind}": case[f"expert{expert}.{layer}.{kind}"].detach()
            for expert in range(count)
            for layer in ("Wi", "Wo")
            for kind in kinds
        }
    )
    return block(hidden, case["assignment"])
