"""Published preference losses: as functions, and compiled from their symbolic forms."""

import torch

from counterpoint.objectives import preference
from counterpoint.objectives.preference_logic import compile_loss, decompile


def run(case):
    w, lost = case["policy_logp_w"], case["policy_logp_l"]
    rw, rl = case["ref_logp_w"], case["ref_logp_l"]
    beta, margin = case.params["beta"], case.params["simpo_gamma_beta_ratio"]
    smoothing = case.params["label_smoothing_of_cdpo"]
    each = {"beta": beta, "reduction": "none"}
    smoothed = next(
        (name.split(".losses")[0] for name in case.expected if name.startswith("cdpo")), "cdpo"
    )
    losses = {
        "dpo": preference.dpo(w, lost, rw, rl, **each),
        "ipo": preference.ipo(w, lost, rw, rl, **each),
        "cpo_as_reference_free_dpo": preference.cpo(w, lost, **each),
        smoothed: preference.dpo(w, lost, rw, rl, label_smoothing=smoothing, **each),
        "simpo_sigmoid": preference.simpo(w, lost, margin=margin, **each),
        "simpo_hinge": preference.simpo(w, lost, margin=margin, form="hinge", **each),
    }
    log_p = {"w": w, "l": lost, "rw": rw, "rl": rl}
    are_probabilities = all(bool((x <= 0).all()) for x in log_p.values())
    if are_probabilities:
        losses["orpo"] = preference.orpo(w, lost, reduction="none")
    found = {}
    for name, values in losses.items():
        grads = torch.autograd.grad(values.mean(), [w, lost], retain_graph=True)
        found[f"{name}.losses"] = values
        found[f"{name}.grad_policy_w_of_mean"], found[f"{name}.grad_policy_l_of_mean"] = grads
    if not are_probabilities:
        return found
    found["orpo.log_odds_ratio_rho"] = decompile("ORPO").rho(log_p)
    compiled = {
        "dpo": compile_loss("DPO", beta=beta),
        "ipo": compile_loss("IPO", "squared", beta),
        "cpo_as_reference_free_dpo": compile_loss("CPO", beta=beta),
        "orpo": compile_loss("ORPO"),
    }
    for name, loss in compiled.items():
        torch.testing.assert_close(
            loss(log_p), found[f"{name}.losses"], rtol=1e-10, atol=1e-12, check_dtype=False
        )
    return found
