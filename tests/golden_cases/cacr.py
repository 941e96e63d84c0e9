"""Attraction and repulsion apart, the debiased repulsion, and the form with momentum keys."""

import torch

from counterpoint.objectives import cacr as objective


def run(case):
    count = sum(name.startswith("view") for name in case.inputs)
    views = [case[f"view{place}"] for place in range(count)]
    if "large-scale" in case.what:
        return momentum(case, views)
    return (attraction if "attraction" in case.what else repulsion)(case, views)


def momentum(case, views):
    *queries, key = views
    case.leaves |= {f"q{place}": query for place, query in enumerate(queries)}
    cost = "rbf" if "rbf" in case.what else "euclidean"
    loss = objective.cacr_momentum(*queries, key=key, temperature=case.params["T"], cost=cost)
    return {"loss": loss}


def uniform(case, without):
    named = case.what.partition("choice=")[2].replace(",", " ").split(" ")[0]
    return case.params.get("choice", named) in ("none", without)


def attraction(case, views):
    sharpness = case.params["tau_pos"]
    loss = objective.cacr(
        *views,
        t_positive=0.0 if uniform(case, "without_w1") else sharpness,
        alpha=case.params["alpha"],
        beta=0.0,
        normalize=False,
    )
    return {
        "loss": loss,
        "last_query_weights": objective.attraction_weights(views, sharpness)[-1],
    }


def repulsion(case, views):
    params, sharpness = case.params, case.params["tau_neg"]
    plain = uniform(case, "without_w2")
    loss = objective.cacr(
        *views,
        t_negative=0.0 if plain else sharpness,
        alpha=0.0,
        beta=params["beta"],
        tau_plus=params["tau_plus"] if "debiased" in case.what and not plain else 0.0,
        normalize=False,
    )
    weights = objective.repulsion_weights(*views[-2:], sharpness)
    others = ~torch.eye(len(weights), dtype=torch.bool)
    return {"loss": loss, "last_pair_weights": weights[others]}
