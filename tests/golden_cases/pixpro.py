"""Propagation, and the loss in one and in both directions."""

import torch

from counterpoint.encoders.pixel_propagation import PixelPropagation
from counterpoint.objectives.pixpro import pixpro
from counterpoint.pairs.cells import matching_cells


def run(case):
    weight = case.inputs.get("weight")
    first = case["x1" if "x1" in case.inputs else "x"]
    module = PixelPropagation(
        first.shape[1],
        case.params["gamma"],
        layers=0 if weight is None else 1,
        clamp=case.params.get("clamp", 0.0),
    ).double()

    def propagate(x):
        if weight is None:
            return module(x)
        given = {
            "transform.0.weight": case["weight"][:, :, None, None],
            "transform.0.bias": case["bias"],
        }
        return torch.func.functional_call(module, given, (x,))

    if "pos_ratio" not in case.params:
        return {"y": propagate(first)}
    size, ratio = first.shape[2:], case.params["pos_ratio"]
    if "coord_q" in case.inputs:
        pairs = matching_cells(case["coord_q"], case["coord_k"], size, ratio)
        return {"loss": pixpro(propagate(first), case["k"], pairs)}
    pairs = matching_cells(case["coord_1"], case["coord_2"], size, ratio)
    one = pixpro(propagate(first), case["k2"], pairs)
    return {"loss": one + pixpro(propagate(case["x2"]), case["k1"], pairs.mT)}
