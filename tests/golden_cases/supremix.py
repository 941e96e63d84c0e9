"""Real pairs, mixtures replayed from their list, and mixtures given as vectors."""

from dataclasses import replace

import torch

from counterpoint.objectives.supremix import supremix, supremix_points
from counterpoint.pairs.label_mixing import LabelMixtures

NEGATIVES = "mix_neg [anchor,other,weight_of_anchor]"
POSITIVES = "mix_pos [anchor,low,high,weight_of_low]"
POWERS = {"L1_inv": 1, "L2_inv": 2}


def run(case):
    features, targets, tau = case["features"], case["labels"], case.params["tau"]
    distance = case.params.get("distance")
    settings = {"normalize": False, "magnify": distance is not None}
    if distance is not None:
        settings["power"] = POWERS[distance]
    shift = int(distance == "L2_inv")  # the reference squares |gap + 1| of mixtures
    if NEGATIVES in case.inputs:
        table = replayed(case, targets.detach().flatten().repeat(2))
        table = replace(table, targets=table.targets - shift)
        loss = supremix(features, targets, table, tau, separate_max_shift=True, **settings)
    elif "mixtures" in case.inputs:
        loss = supremix_points(
            *(features, targets, case["mixtures"], case["mixture_mask"].long()),
            case["mixture_label"] - shift,
            tau,
            separate_max_shift=True,
            **settings,
        )
    else:
        loss = supremix(features, targets, None, tau, **settings)
    return {"loss": tau / case.params["base"] * loss}


def replayed(case, targets):
    negative = case[NEGATIVES].detach().reshape(-1, 3)
    positive = case[POSITIVES].detach().reshape(-1, 4)
    anchor, low = (torch.cat([negative[:, 0], positive[:, c]]).long() for c in (0, 1))
    other = torch.cat([negative[:, 1], positive[:, 2]]).long()
    role = torch.cat([torch.zeros(len(negative)), torch.ones(len(positive))]).long()
    weight = torch.cat([negative[:, 2], positive[:, 3]]).double()
    return LabelMixtures.of_list(anchor, low, other, weight, role, targets)
