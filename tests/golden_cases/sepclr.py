"""The total with its terms, a supervised coordinate, and single terms."""

import torch

from counterpoint.geometry.alignment import alignment
from counterpoint.geometry.uniformity import uniformity
from counterpoint.objectives.sepclr import (
    kernel_alignment,
    negative_joint_entropy,
    sepclr,
    sepclr_parts,
)

DISCRETE = 5e-6


def run(case):
    if "x" in case.inputs:
        tau = case.params.get("tau", DISCRETE)
        return {"loss": kernel_alignment(case["x"], case["y"].double(), tau)}
    tau = case.params["tau"]
    if "a" in case.inputs:
        return single(case, tau)
    names = ("common_1", "common_2", "salient_1", "salient_2")
    codes, labels = [case[name] for name in names], case["label"]
    unit = not torch.allclose(codes[0].norm(dim=1), torch.ones(len(labels)).double(), atol=1e-4)
    loss = sepclr(
        *codes,
        labels,
        salient_weight=case.params["salient_term_beta"],
        information_weight=case.params["salient_reg_beta"],
        independence_weight=case.params["jem_lambda"],
        tau=tau,
        normalize_common=unit,
    )
    part = sepclr_parts(*codes, labels, tau=tau, normalize_common=unit)
    grads = torch.autograd.grad(loss, codes, retain_graph=True)
    return {
        "common_align": part.common_alignment,
        "common_uniform": part.common_uniformity,
        "salient_align": part.salient_alignment,
        "salient_uniform": part.salient_uniformity,
        "salient_reg": part.information_less,
        "jem": part.joint_entropy,
        "total": loss,
        **{f"grad_{name}": grad for name, grad in zip(names, grads, strict=True)},
    }


def single(case, tau):
    a, b, s = case["a"], case["b"], case["s"]
    together = alignment(a, b, case.params["alpha"], normalize=False) / (2 * tau)
    spread = uniformity(a, 1 / (2 * tau), normalize=False)
    jem = negative_joint_entropy(a, s, tau)
    grads = torch.autograd.grad(jem, [a, s])
    return {
        "align_ab": together,
        "align_grad_a": torch.autograd.grad(together, a)[0],
        "uniform_a": spread,
        "uniform_grad_a": torch.autograd.grad(spread, a)[0],
        "jem_as": jem,
        "jem_grad_a": grads[0],
        "jem_grad_s": grads[1],
    }
