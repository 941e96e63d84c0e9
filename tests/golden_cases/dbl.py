"""The base loss, both boosts and their totals."""

from counterpoint.objectives import dbl as objective


def run(case):
    scores, settings = case["scores"], dict(case.params)
    hardest = settings.pop("max_violation", "birank_sum" not in case.what)
    if "boost" not in case.what:
        return {"loss": objective.triplet_ranking(scores, **settings, hardest=hardest)}
    anchor = case["scores_anchor"]
    boost = "relative" if "boostrel" in case.what else "absolute"
    if "total" in case.what:
        loss = objective.dbl(scores, anchor, boost=boost, **settings)
        if not hardest:  # only the base sums; a boost takes the hardest whatever the base does
            base = {"margin": settings["margin"]}
            loss = loss - objective.triplet_ranking(scores, **base)
            loss = loss + objective.triplet_ranking(scores, **base, hardest=False)
        return {"loss": loss}
    if boost == "relative":
        return {"loss": objective.relative_boost(scores, anchor, **settings)}
    return {"loss": objective.absolute_boost(scores, anchor, **settings)}
