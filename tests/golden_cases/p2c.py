"""P2C: total and parts, and the consistency with votes."""

import torch

from counterpoint.objectives import p2c as objective


def run(case):
    logits1, logits2 = case["logits_x1"], case["logits_x2"]
    raw1, raw2 = case["pref_scores_x1"], case["pref_scores_x2"]
    inputs = (logits1, logits2, raw1[..., 0], raw2[..., 0], case["labels"], case["pref"])
    parts = objective.p2c_parts(*inputs)
    loss = objective.p2c(
        *inputs,
        classification_weight=case.params.get("lambda_cls", 1.0),
        consistency_weight=case.params["lambda_cons"],
        preference_weight=case.params["lambda_pref"],
        diversity_weight=case.params["lambda_div"],
    )
    grads = torch.autograd.grad(loss, [raw1, raw2], retain_graph=True)
    found = {
        "loss_cls": parts.classification,
        "loss_cons": parts.consistency,
        "loss_pref": parts.preference,
        "loss_div": parts.diversity,
        "loss": loss,
        "grad_pref_x1": grads[0],
        "grad_pref_x2": grads[1],
    }
    if "soft_labels_x1" in case.inputs:
        votes = case["soft_labels_x1"], case["soft_labels_x2"]
        found["loss_delta_extractive"] = objective.vote_consistency(logits1, logits2, *votes)
    return found
