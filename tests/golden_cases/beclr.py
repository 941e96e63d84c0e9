"""The loss in three configurations, balanced assignment, and OpTA."""

from counterpoint.objectives import beclr as objective
from counterpoint.pairs.sinkhorn import balanced_assignment, transport_plan
from counterpoint.probes.opta import transported_prototypes

TRANSPORTED = "support_after_"
TOLERANCES = dict.fromkeys(
    ("plan", "normalised_cost", *(f"{TRANSPORTED}{passes}" for passes in range(1, 11))), 1e-5
)


def run(case):
    params = case.params
    if "score" in case.inputs:
        epsilon = finite_epsilon(case["score"], params["epsilon"])
        plan = balanced_assignment(case["score"], epsilon, params["iterations"])
        return {"Q": plan, "label": plan.argmax(1)}
    if "support" in case.inputs:
        return transported(case)
    p, t, s = (case[name] for name in ("p_student", "z_teacher", "z_student"))
    settings = {"temperature": params["temp"], "spread": params["uniformity_config"]}
    return {
        "loss": objective.beclr(p, t, s, uniformity=params["lambda_neg"], **settings),
        "loss_pos": objective.attraction(p, t),
        "loss_neg": objective.log_potential(t, s, **settings),
        "std": objective.collapse_monitor(t),
    }


def finite_epsilon(score, epsilon):
    """The recorder raises epsilon by 0.1 until its exponentials, which have no logarithms, fit."""
    while True:
        mass = (score / epsilon).exp()
        if not (mass / mass.sum()).isnan().any():
            return epsilon
        epsilon += 0.1


def transported(case):
    support, query = case["support"].detach(), case["query"].detach()
    epsilon = case.params["regularization"]
    settings = {"iterations": case.params["max_iter"], "threshold": case.params["threshold"]}
    cost = (support[:, None] - query).square().sum(2)
    cost = cost / cost.max()
    found = {
        name: transported_prototypes(
            support,
            query,
            passes=int(name.removeprefix(TRANSPORTED)),
            epsilon=epsilon,
            **settings,
        )
        for name in case.expected
        if name.startswith(TRANSPORTED)
    }
    return {"normalised_cost": cost, "plan": transport_plan(cost, epsilon, **settings), **found}
