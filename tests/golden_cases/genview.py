"""Maps, features, similarities, weights; noise levels; the scorer's direction."""

import torch

from counterpoint.curation.genview import (
    LEVELS,
    foreground_direction,
    noise_levels,
    pair_quality,
    quality_weights,
    soft_maps,
)

TOLERANCES = {"direction": 1e-4, "projection": 1e-4, "mean": 1e-4}


def run(case):
    if "fg_ratio" in case.inputs:
        levels, edges = case.params.get("levels", LEVELS), case.params.get("edges")
        bins = len(levels) if edges is None else len(edges) - 1
        return {"noise_level": noise_levels(case["fg_ratio"].detach(), tuple(levels[:bins]))}
    if "tokens" in case.inputs:
        tokens = case["tokens"].detach()
        direction = foreground_direction(tokens)
        return {"direction": direction, "projection": tokens @ direction, "mean": tokens.mean(0)}
    views = [case[f"tokens_view{number}"].detach() for number in (1, 2)]
    direction, gamma = case["pca_direction"].detach(), case.params["gamma"]
    one, two = (soft_maps(view, direction) for view in views)
    distance = case.params.get("distance_type", "cosine")
    distance = distance if distance == "cosine" else "dot"
    closeness = torch.cosine_similarity if distance == "cosine" else torch.linalg.vecdot
    quality = pair_quality(*views, direction, distance=distance)
    weight = quality_weights(quality, gamma)
    loss = (weight * case["per_pair_loss"]).mean()
    return {
        "fg_map_view1": one.foreground,
        "bg_map_view1": one.background,
        "fg_map_view2": two.foreground,
        "bg_map_view2": two.background,
        "fg_feature_view1": one.foreground_feature,
        "bg_feature_view1": one.background_feature,
        "fg_feature_view2": two.foreground_feature,
        "bg_feature_view2": two.background_feature,
        "sim_fg": closeness(one.foreground_feature, two.foreground_feature),
        "sim_bg": closeness(one.background_feature, two.background_feature),
        "score_exp": (gamma * quality).exp(),
        "weight": weight,
        "weighted_loss": loss,
        "loss": loss,
    }
