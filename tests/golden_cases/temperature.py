"""Uniformity, and the contrastive loss with in-batch and with banked negatives."""

from torch.nn.functional import normalize

from counterpoint import geometry
from counterpoint.objectives import functional as F


def run(case):
    if "x" in case.inputs:
        return {"loss": geometry.uniformity(case["x"], t=case.params["t"], normalize=False)}
    temperature = case.params["temperature"]
    if "bank" in case.inputs:
        q, k = (normalize(case[name], dim=1) for name in ("q", "k"))
        loss = F.info_nce(
            *(q, k, temperature),
            negatives=case["bank"],  # taken as it is
            in_batch=False,
            normalize=False,
        )
    else:
        loss = F.nt_xent(case["z1"], case["z2"], temperature)
    return {"loss": loss}
