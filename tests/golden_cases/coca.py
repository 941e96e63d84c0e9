"""Both losses, weighted, on features that are unit already."""

from counterpoint.objectives.coca import coca_parts


def run(case):
    part = coca_parts(
        case["image_features"],
        case["text_features"],
        case["logits"],
        case["labels"],
        1 / case["logit_scale"].double(),
        contrastive_weight=case.params["clip_loss_weight"],
        caption_weight=case.params["caption_loss_weight"],
        shifted=True,
        pad=case.params["pad_id"],
        normalize=False,
    )
    return {
        "loss": part.contrastive + part.caption,
        "contrastive_loss": part.contrastive,
        "caption_loss": part.caption,
    }
