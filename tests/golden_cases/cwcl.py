"""CWCL and its baseline; the recorder multiplies by exp(log_scale), we divide by a temperature."""

from counterpoint.objectives import functional as F


def run(case):
    x, y = case["anchor_emb"], case["other_emb"]
    temperature = (-case["log_scale"].double()).exp()
    if "anchor_raw" in case.inputs:
        loss = F.cwcl(x, y, case["anchor_raw"], temperature, normalize=False)
    else:
        loss = F.clip(x, y, temperature, normalize=False)
    return {"loss": loss}
