"""CLIP with each term, and each term alone."""

from counterpoint.objectives.contrastive_gap import contrastive_gap


def run(case):
    on = case.params["flags"]
    loss = contrastive_gap(
        case["image"],
        case["text"],
        case.params["temperature"],
        contrastive_weight=float(not on.get("remove_contrastive_loss", False)),
        uniformity_weight=float(on.get("uniformity_loss", False)),
        cross_uniformity_weight=float(on.get("cross_uniformity_loss", False)),
        alignment_weight=float(on.get("alignment_loss", False)),
        t=case.params["t"],
    )
    return {"loss": loss}
