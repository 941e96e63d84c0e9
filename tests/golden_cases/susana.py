"""The triplet on prototypes and both scores."""

from counterpoint.objectives.icnn_score import icnn_original, icnn_score
from counterpoint.objectives.susana import icnn, proto_triplet


def run(case):
    params = case.params
    if "queries" in case.inputs:
        names = ("queries", "y_query", "support", "y_support")
        return {"loss": proto_triplet(*(case[n] for n in names), margin=params["margin"])}
    x, y = case["features"], case["y"]
    if "p" in params:
        score = icnn_original(x, y, k=params["k"], p=params["p"], r=params["r"])
        return {"score": score, "loss": score}
    among = (case["target"], case["y_target"]) if "target" in case.inputs else ()
    settings = {"k": params["k"], "neighbours": params.get("ipc")}
    return {
        "score": icnn_score(x, y, *among, **settings),
        "loss": icnn(x, y, *among, **settings),
    }
