"""Real pairs, mixtures replayed from their list, and mixtures given as vectors."""

import torch

from counterpoint.objectives.supremix import supremix, supremix_points
from counterpoint.pairs.label_mixing import LabelMixtures

NEGATIVES = "mix_neg [anchor,other,weight_of_anchor]"
POSITIVES = "mix_pos [anchor,low,high,weight_of_low]"


def run(case):
    features, targets, tau = case["features"], case["labels"], case.params["tau"]
    plain = {"normalize": False}
    if NEGATIVES in case.inputs:
        table = replayed(case, targets.detach().flatten().repeat(2))
        loss = supremix(features, targets, table, tau, separate_max_shift=True, **plain)
    elif "mixtures" in case.inputs:
        loss = supremix_points(
            *(features, targets, case["mixtures"], case["mixture_mask"].long()),
            case["mixture_label"],
            tau,
            separate_max_shift=True,
            **plain,
        )
    else:
        loss = supremix(features, targets, None, tau, **plain)
    return {"loss": loss}


def replayed(case, targets):
    negative, positive = case[NEGATIVES].detach(), case[POSITIVES].detach()
    anchor, low = (torch.cat([negative[:, 0], positive[:, c]]).long() for c in (0, 1))
    other = torch.cat([negative[:, 1], positive[:, 2]]).long()
    role = torch.cat([torch.zeros(len(negative)), torch.ones(len(positive))]).long()
    return LabelMixtures.of_list(
        anchor, low, other, torch.cat([negative[:, 2], positive[:, 3]]), role, targets
    )
