"""Attraction and repulsion apart, the debiased repulsion, and the form with momentum keys."""

from counterpoint.objectives import cacr as objective


def run(case):
    params = case.params
    views = [case[name] for name in ("view0", "view1", "view2")]
    uniform = "choice=none" in case.what
    if "large-scale" in case.what:
        *queries, key = views
        for place, query in enumerate(queries):
            case.leaves[f"q{place}"] = query
        cost = "rbf" if "rbf" in case.what else "euclidean"
        return {
            "loss": objective.cacr_momentum(*queries, key=key, temperature=params["T"], cost=cost)
        }
    if "attraction" in case.what:
        loss = objective.cacr(
            *views,
            t_positive=0.0 if uniform else params["tau_pos"],
            alpha=params["alpha"],
            beta=0.0,
            normalize=False,
        )
        weights = objective.attraction_weights(views, params["tau_pos"])
        return {"loss": loss, "last_query_weights": weights[-1]}
    loss = objective.cacr(
        *views,
        t_negative=0.0 if uniform else params["tau_neg"],
        alpha=0.0,
        beta=params["beta"],
        tau_plus=params.get("tau_plus", 0.0),
        normalize=False,
    )
    n = len(views[0])
    weights = objective.repulsion_weights(views[1], views[2], params["tau_neg"])
    others = [[j for j in range(n) if j != i] for i in range(n)]
    return {
        "loss": loss,
        "last_pair_weights": weights.gather(1, case.leaves["view0"].new_tensor(others).long()),
    }
