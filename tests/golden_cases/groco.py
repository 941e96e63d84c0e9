"""Sorting networks, and the loss with two, four and multi-crop views."""

import torch

from counterpoint.objectives.groco import groco, group_gap
from counterpoint.pairs.sorting import soft_sort


def run(case):
    params = case.params
    if "x" in case.inputs:
        ordered, shares = soft_sort(
            case["x"],
            params["network"],
            params["distribution"],
            steepness=params["steepness"],
            art_lambda=params.get("art_lambda", 0.25),
        )
        weighted = (shares * case["w"]).sum()
        (grad,) = torch.autograd.grad(
            weighted, case["x"], retain_graph=True, materialize_grads=True
        )
        return {"sorted": ordered, "P": shares, "grad_x_of_sum_P_times_w": grad}
    views = [case[f"view{number}"] for number in range(1, params["n_augs"] + 1)]
    shared = {"hardest": params["topk_neg"], "positive_views": params.get("n_pos_augs")}
    each = groco(
        *views,
        **shared,
        steepness=params["steepness"],
        relaxation=params.get("distribution", "cauchy"),
        network=params.get("network", "odd_even"),
        art_lambda=params.get("art_lambda", 0.25),
        stop_gradient=params["stop_grad"],
        reduction="none",
    ).view(len(views), -1)
    gap = group_gap(*views, **shared)
    return {
        "loss": each.mean(),
        "per_anchor_view_loss": each.mean(1),
        "info.info_pos_max": gap["positive_max"],
        "info.info_pos_min": gap["positive_min"],
        "info.info_neg_max": gap["negative_max"],
        "info.info_neg_min": gap["negative_min"],
        "info.info_pos_neg_dist": gap["gap"],
        "info.sorting": each[0].mean(),
    }
