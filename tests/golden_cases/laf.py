"""The three losses of LAF and their gradients."""

import torch

from counterpoint.objectives.laf import (
    laf_alignment,
    laf_autoencoder,
    laf_unlearning,
    squashed_error,
)


def run(case):
    remaining, forgetting = case["e_remain"], case["e_forget"]
    rebuilt, rebuilt_forget = case["recon_remain"], case["recon_forget"]
    mu, sigma = case["mu"], case["sigma"]
    unlearn = laf_unlearning(remaining, rebuilt, forgetting, rebuilt_forget)
    align = laf_alignment(
        remaining,
        case["teacher_remain"],
        forgetting,
        case["teacher_forget"],
        temperature=case.params["temp"],
    )
    vae = laf_autoencoder(rebuilt, remaining, mu, sigma, kl_weight=case.params["kl_weight"])
    by_unlearn = torch.autograd.grad(unlearn, [remaining, forgetting, rebuilt, rebuilt_forget])
    by_align = torch.autograd.grad(align, [remaining, forgetting])
    by_vae = torch.autograd.grad(vae, [rebuilt, mu, sigma])
    return {
        "remain_term": squashed_error(remaining, rebuilt),
        "forget_term": squashed_error(forgetting, rebuilt_forget),
        "loss_unlearn": unlearn,
        "grad_e_remain_unlearn": by_unlearn[0],
        "grad_e_forget_unlearn": by_unlearn[1],
        "grad_recon_remain": by_unlearn[2],
        "grad_recon_forget": by_unlearn[3],
        "loss_align": align,
        "grad_e_remain_align": by_align[0],
        "grad_e_forget_align": by_align[1],
        "loss_vae": vae,
        "grad_recon_vae": by_vae[0],
        "grad_mu": by_vae[1],
        "grad_sigma": by_vae[2],
    }
