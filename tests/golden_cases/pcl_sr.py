"""The contrast of feature maps, the discriminator's loss, the ratio and the Haar bands."""

import torch

from counterpoint.objectives.pcl_sr import dual_contrastive, pcl_sr, ratio_loss
from counterpoint.views.high_bands import haar_bands


def run(case):
    if "x" in case.inputs:
        return {"high": haar_bands(case["x"])}
    if "pos_loss" in case.inputs:
        distances = case["pos_loss"], case["neg_loss"]
        if " l2" in case.what:  # recorded are cosines
            distances = tuple(1 - cosine for cosine in distances)
        return {"loss": ratio_loss(*distances)}
    if "real_logits" in case.inputs:
        real, fake = case["real_logits"], case["fake_logits"]
        loss = dual_contrastive(real, fake)
        grads = torch.autograd.grad(loss, [real, fake])
        return {"loss": loss, "grad_real": grads[0], "grad_fake": grads[1]}
    others = [
        [
            torch.tensor(x["data"], dtype=torch.float64).reshape(x["shape"])
            for x in case.inputs[name]
        ]
        for name in ("positives", "negatives")
    ]
    return {"loss": pcl_sr(case["anchor"], *others, case.params["temperature"])}
