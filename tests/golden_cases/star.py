"""The released loss, its core on true cosines, and the validation helper."""

import torch

from counterpoint.objectives.star import star, star_validation


def trained(case):
    """The number the reference holds in float32."""
    return torch.tensor(case.params["t_0"], dtype=torch.float32).double().requires_grad_()


def run(case):
    if "anchors" in case.inputs:
        t = trained(case)
        loss, accuracy = star_validation(case["anchors"], case["replicas"], t)
        (grad,) = torch.autograd.grad(loss, t, retain_graph=True)
        return {"loss": loss, "accuracy": accuracy, "grad_temperature": grad}
    features, labels = case["features"], case["labels"]
    floor = case.params["eps"]
    if "t_0" in case.params:
        t = trained(case)
        loss = star(features, labels, t, variant="released", floor=floor)
        (grad,) = torch.autograd.grad(loss, t, retain_graph=True)
        return {"loss": loss, "grad_temperature": grad}
    return {"loss": star(features, labels, 1 / case.params["scale"], floor=floor)}
