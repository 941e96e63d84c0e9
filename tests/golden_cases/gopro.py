"""The total with its parts, and the statistics of a layer."""

from counterpoint.encoders.layer_statistics import content_and_style
from counterpoint.objectives.gopro import gopro, gopro_parts


def run(case):
    if "tokens" in case.inputs:
        mu, sigma = content_and_style(case["tokens"])
        return {"mu": mu, "sigma": sigma}
    names = ("text_raw_orig", "text_raw_mocov3", "text_raw_augmix", "proj_orig", "proj_mocov3")
    inputs = [case["logits"], case["label"], *(case[name] for name in names)]
    several = len(case["label"]) > 1
    parts = gopro_parts(*inputs, case.params["tau"], contrast=several)
    loss = gopro(
        *inputs,
        temperature=case.params["tau"],
        consistency_weight=case.params["w_sem"],
        contrast_weight=case.params["w_con"] if several else 0.0,
    )
    return {"loss": loss, "sem_loss": parts.consistency, "con_loss": parts.contrast}
