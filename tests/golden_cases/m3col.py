"""M3Co and the soft CLIP loss; the reference overwrites the target of a fixed point."""

from counterpoint.objectives import functional as F


def run(case):
    if "preds" in case.inputs:
        return {"loss": F.soft_clip(case["preds"], case["targs"], case.params["temp"])}
    loss = F.m3co(
        case["mixed"],
        case["clean"],
        case["perm"],
        case["betas"].detach(),
        case.params["temp"],
        bidirectional=case.params["bidirectional"],
        variant="released",
    )
    return {"loss": loss}
