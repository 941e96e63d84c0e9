"""The base loss, both boosts and their totals."""

from counterpoint.objectives import dbl as objective


def run(case):
    scores, params = case["scores"], case.params
    if "birank" in case.what and "total" not in case.what:
        loss = objective.triplet_ranking(
            scores, margin=params["margin"], hardest=params["max_violation"]
        )
        return {"loss": loss}
    anchor = case["scores_anchor"]
    if "total" in case.what:
        boost = "relative" if "boostrel" in case.what else "absolute"
        return {"loss": objective.dbl(scores, anchor, boost=boost, **params)}
    if case.what == "boostrel":
        return {"loss": objective.relative_boost(scores, anchor, **params)}
    return {"loss": objective.absolute_boost(scores, anchor, **params)}
