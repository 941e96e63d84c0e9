"""The loss in three configurations, balanced assignment, and OpTA."""

from counterpoint.objectives import beclr as objective
from counterpoint.pairs.sinkhorn import balanced_assignment, transport_plan
from counterpoint.probes.opta import transported_prototypes

TOLERANCES = {
    "plan": 1e-5,
    "normalised_cost": 1e-5,
    "support_after_1": 1e-5,
    "support_after_5": 1e-5,
}


def run(case):
    params = case.params
    if "score" in case.inputs:
        plan = balanced_assignment(case["score"], params["epsilon"], params["iterations"])
        return {"Q": plan, "label": plan.argmax(1)}
    if "support" in case.inputs:
        support, query = case["support"].detach(), case["query"].detach()
        cost = (support[:, None] - query).square().sum(2)
        cost = cost / cost.max()
        epsilon = params["regularization"]
        found = {
            f"support_after_{passes}": transported_prototypes(
                support, query, passes=passes, epsilon=epsilon
            )
            for passes in (1, 5)
        }
        plan = transport_plan(
            cost, epsilon, iterations=params["max_iter"], threshold=params["threshold"]
        )
        return {"normalised_cost": cost, "plan": plan, **found}
    p, t, s = (case[name] for name in ("p_student", "z_teacher", "z_student"))
    settings = {"temperature": params["temp"], "spread": params["uniformity_config"]}
    return {
        "loss": objective.beclr(p, t, s, uniformity=params["lambda_neg"], **settings),
        "loss_pos": objective.attraction(p, t),
        "loss_neg": objective.log_potential(t, s, **settings),
        "std": objective.collapse_monitor(t),
    }
