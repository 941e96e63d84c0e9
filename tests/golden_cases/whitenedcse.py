"""The whitening layer; recorded in float32 with another solver, to be compared at 2e-3."""

import torch

from counterpoint.encoders.group_whitening import ShuffledGroupWhitening, group_whitening

TOLERANCES = {"y_train": 2e-3, "grad_x_of_sum_y_times_probe": 2e-3, "y_eval": 2e-3}


def run(case):
    x, groups = case["x"], case.params["num_groups"]
    shuffled = case.params["shuffle"]
    if case.inputs.get("permutations") is None:  # one group is never shuffled
        shuffled = False
    permutations = case["permutations"] if shuffled else None
    layer = ShuffledGroupWhitening(groups, shuffle=shuffled, eps=0)
    y = torch.cat(layer(*x.chunk(3), permutations=permutations))
    (grad,) = torch.autograd.grad((y * case["probe"]).sum(), x)
    first = permutations[0] if shuffled else None
    return {
        "y_train": y,
        "grad_x_of_sum_y_times_probe": grad,
        "y_eval": group_whitening(x, groups, first, eps=0),
    }
