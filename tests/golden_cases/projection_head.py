"""The fixed head, supervised contrast with and without it, and the symmetric ReLU."""

import torch

from counterpoint.encoders.reweighting_head import FixedReweighting, symmetric_relu
from counterpoint.objectives import functional as F


def head(case):
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return FixedReweighting(case["u"].shape[1], case.params["kappa"])
    finally:
        torch.set_default_dtype(default)


def run(case):
    params = case.params
    if "x" in case.inputs:
        b = torch.tensor(params["b"], dtype=torch.float64, requires_grad=True)
        out = symmetric_relu(case["x"], b)
        in_x, in_b = torch.autograd.grad(out.sum(), (case["x"], b), retain_graph=True)
        return {"out": out, "grad_x_of_sum": in_x, "grad_b_of_sum": in_b}
    if "labels" not in case.inputs:
        fixed = head(case)
        return {"weights": fixed.weights, "out": fixed(case["u"])}
    z = head(case)(case["u"]) if "kappa" in params else case["u"]
    labels = case["labels"].repeat(params.get("num_positive", 1))
    return {"loss": F.supcon(z, labels, params["temperature"])}
