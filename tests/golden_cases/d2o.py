"""D2O with one sample, and the rewards it implies."""

from counterpoint.objectives import d2o as objective
from counterpoint.objectives.preference import implicit_reward


def run(case):
    policy_self, policy_negative = case["policy_logp_self"], case["policy_logp_neg"]
    reference_self, reference_negative = case["ref_logp_self"], case["ref_logp_neg"]
    alpha, beta = case.params["alpha"], case.params["beta"]
    shape = (len(policy_negative), case.params["K"])
    losses = objective.d2o(
        policy_self.reshape(shape),
        policy_negative,
        reference_self.reshape(shape),
        reference_negative,
        alpha=alpha,
        beta=beta,
        reduction="none",
    )
    return {
        "losses": losses,
        "loss": losses.mean(),
        "reward_self": implicit_reward(policy_self, reference_self, beta=beta),
        "reward_neg": implicit_reward(policy_negative, reference_negative, beta=alpha),
    }
