"""DCL and DCLW, in the conventions of both references."""

from counterpoint.objectives import functional as F


def run(case):
    z1, z2 = case["z1"], case["z2"]
    one_way = "one-way" in case.what
    if "weights alone" in case.what:
        return {
            "weights": F.von_mises_fisher_weights(z1, z2, case.params["sigma"], normalize=False)
        }
    shared = {"symmetric": not one_way, "normalize": not one_way}
    if "DCLW" in case.what:
        loss = F.dclw(
            z1,
            z2,
            case.params["temperature"],
            sigma=case.params["sigma"],
            detach_weight=not one_way,
            **shared,
        )
    else:
        loss = F.dcl(z1, z2, case.params["temperature"], **shared)
    return {"loss": loss}
