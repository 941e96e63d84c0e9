"""Uniformity, and the contrastive loss with in-batch and with banked negatives."""

from counterpoint import geometry
from counterpoint.objectives import functional as F


def run(case):
    if "uniformity" in case.what:
        return {"loss": geometry.uniformity(case["x"], t=case.params["t"], normalize=False)}
    temperature = case.params["temperature"]
    if "bank" in case.inputs:
        loss = F.info_nce(case["q"], case["k"], temperature, negatives=case["bank"], in_batch=False)
    else:
        loss = F.nt_xent(case["z1"], case["z2"], temperature)
    return {"loss": loss}
