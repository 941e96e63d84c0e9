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
        return {"loss": clip(case["z_image"], case["z_text"], 1 / params["logit_scale"])}
    if "lamb" in params:
        settings = {"off_diagonal": params["lamb"], "scale": params["scale_loss"]}
        return {"loss": barlip(stacked(case, "v_image"), stacked(case, "v_text"), **settings)}
    if "p_image" in case.inputs:
        names = ("p_image", "p_text", "v_image", "v_text")
        return {"loss": siamlip(*(stacked(case, name) for name in names))}
    loss = swalip(
        stacked(case, "h_image", first=False),
        stacked(case, "h_text", first=False),
        1 / params["h_logit_scale"],
        epsilon=params["target_epsilon"],
        iterations=params["sk_iters"],
    )
    return {"loss": loss}


def views(case):
    params = case.params
    given = [case["z_image_global"], case["z_text_global"]]
    if params["num_augs"]:
        given += [stacked(case, name, first=False) for name in ("h_image", "h_text")]
    settings = {
        "temperature": 1 / params["logit_scale"],
        "local_temperature": 1 / params["h_logit_scale"],
        "label_smoothing": params["label_smoothing"],
    }
    part = cl2l_parts(*given, **settings)
    total = "sum" if params["loss_avg_or_sum"] == "sum" else "mean"
    return {
        "loss": cl2l(*given, **settings, total=total),
        "clip_loss": (part.image + part.text) / 2,
        "clip_loss_image": part.image,
        "clip_loss_text": part.text,
        "clip_loss_image_global": part.image_global,
        "clip_loss_text_global": part.text_global,
        "clip_loss_image_local": part.image_local,
        "clip_loss_text_local": part.text_local,
    }
