"""CL2L with its parts, CLIP, the three extra terms, and the assignment."""

import torch

from counterpoint.objectives.clip import clip
from counterpoint.objectives.clip_baselines import barlip, cl2l, cl2l_parts, siamlip, swalip
from counterpoint.pairs.sinkhorn import balanced_assignment


def stacked(case, name, first=True):
    names = [one for one in case.inputs if one.startswith(f"{name}_local_")]
    return torch.stack([case[one] for one in ([name] if first else []) + sorted(names)], 1)


def run(case):
    params = case.params
    if "scores" in case.inputs:
        assign = balanced_assignment(case["scores"], params["target_epsilon"], params["sk_iters"])
        return {"assign": assign}
    if "z_image_global" in case.inputs:
        return views(case)
    if "z_image" in case.inputs:
        return {"loss": clip(case["z_image"], case["z_text"], temperature(case))}
    return {"loss": extra_term(case)}


def temperature(case, name="logit_scale"):
    return 1 / case[name].double()


def extra_term(case):
    """The unweighted loss that the authors add to CL2L."""
    params = case.params
    if "p_image" in case.inputs:
        predicted = [stacked(case, name) for name in ("p_image", "p_text")]
        return siamlip(*predicted, *(targets(case, kind) for kind in ("image", "text")))
    if "v_image" in case.inputs:
        settings = {"off_diagonal": params["lamb"], "scale": params["scale_loss"]}
        return barlip(stacked(case, "v_image"), stacked(case, "v_text"), **settings)
    return swalip(
        stacked(case, "h_image", first=False),
        stacked(case, "h_text", first=False),
        temperature(case, "h_logit_scale"),
        epsilon=params["target_epsilon"],
        iterations=params["sk_iters"],
    )


def targets(case, kind):
    """Projections of a modality, those of the momentum encoder (BYOLIP) where it has some."""
    if f"v_{kind}_momentum" not in case.inputs:
        return stacked(case, f"v_{kind}")
    local = sorted(one for one in case.inputs if one.startswith(f"v_{kind}_local_momentum_"))
    return torch.stack([case[one] for one in (f"v_{kind}_momentum", *local)], 1)


def views(case):
    params = case.params
    given = [case["z_image_global"], case["z_text_global"]]
    if "h_image_local_0" in case.inputs:
        given += [stacked(case, name, first=False) for name in ("h_image", "h_text")]
    settings = {
        "temperature": temperature(case),
        "local_temperature": temperature(case, "h_logit_scale"),
        "label_smoothing": params["label_smoothing"],
    }
    part = cl2l_parts(*given, **settings)
    total = "sum" if params["loss_avg_or_sum"] == "sum" else "mean"
    found = {
        "loss": cl2l(*given, **settings, total=total),
        "clip_loss": (part.image + part.text) / 2,
        "clip_loss_image": part.image,
        "clip_loss_text": part.text,
        "clip_loss_image_global": part.image_global,
        "clip_loss_text_global": part.text_global,
        "clip_loss_image_local": part.image_local,
        "clip_loss_text_local": part.text_local,
    }
    if "v_image" in case.inputs or "sk_iters" in params:
        weight = params.get("swalip_weight", 0.2) if "sk_iters" in params else 1.0
        found["loss"] = found["loss"] + weight * extra_term(case)
    return found
