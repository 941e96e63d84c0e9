"""Ages with and without weights, and depth maps."""

from counterpoint.objectives.conr import conr


def run(case):
    params = case.params
    window, sharpness = params["w"], params["e"]
    if "depth" in case.inputs:
        means = [case[name].double().flatten(1).mean(1) for name in ("depth", "output", "weights")]
        loss = conr(
            case["features"].flatten(1),
            *means,
            params["t"],
            window=window,
            sharpness=sharpness,
            push="linear",
        )
        return {"loss": loss}
    weights = case.inputs.get("weights")
    if weights is not None:
        weights = case["weights"].double().expand(case["targets"].shape)  # one number too
    inputs = (case["features"], case["targets"], case["preds"], weights)
    return {"loss": conr(*inputs, 0.07, window=window, sharpness=sharpness)}
