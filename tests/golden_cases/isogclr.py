"""Consecutive steps with state: LibAUC and the authors, of one and of two modalities."""

import math

import torch
from goldens import to_tensor

from counterpoint.objectives.sogclr import BimodalSogCLR, SogCLR

LIMITS = {False: (0.05, 0.7, 0.3), True: (0.005, 0.05, 6.0)}
"""LibAUC's lowest and highest temperature and its rho, of one and of two modalities."""


def loss_of(case):
    params, start = case.params, start_of(case)
    authors, bimodal = "authors" in case.what, "bimodal" in case.what
    lowest, highest, rho = LIMITS[bimodal]
    shared = {
        "gamma": params["gamma"],
        "first_visit": "batch" if "never called" in params.get("gamma_schedule", "") else "none",
        "rho": params.get("rho", params.get("rho_init", rho)) if learns(case) else None,
        "eta": params.get("eta", params.get("eta_init", 0.01)),
        "beta": params.get("beta", params.get("beta_u", 0.9)),
        "lowest": params.get("tau_min", lowest),
        "highest": params.get("tau_max", 1.0 if authors else highest),
    }
    if bimodal:
        variant, negatives = ("released", "mean") if authors else ("paper", "sum")
        module = BimodalSogCLR(
            params["N"], start, variant=variant, negatives=negatives, normalize=False, **shared
        )
    else:
        clip = 3.0 if authors else None
        module = SogCLR(params["N"], start, clip=clip, normalize=not authors, **shared)
    return module.double()


def start_of(case):
    return case.params.get("tau", case.params.get("tau_init"))


def learns(case):
    """Whether each sample has its own temperature."""
    params = case.params
    scheme = params.get("temperature_scheme", "individual_learnable")
    asked = params.get("enable_isogclr", scheme == "individual_learnable")
    return asked and not case.what.startswith("SogCLR")


def gamma_of(case, epoch, unseen):
    """Weight of the new estimate in a step of an announced epoch."""
    params = case.params
    gamma, schedule = params["gamma"], params.get("gamma_schedule", "constant")
    if "authors" in case.what:
        return 1.0 if epoch == 0 and "bimodal" not in case.what else gamma
    if "cosine" not in schedule:
        return 1.0 if epoch == 0 and unseen else gamma
    decay = params["gamma_decay_epochs"]
    waved = (1 - gamma) * 0.5 * (1 + math.cos(math.pi * epoch / decay)) + gamma
    return waved if epoch < decay else gamma


def eta_of(case, epoch):
    """The authors' step of the temperatures, of two modalities."""
    params = case.params
    start, lowest = params.get("eta_init"), params.get("eta_min", 1e-4)
    schedule = params.get("eta_sched", "const")
    if schedule == "cosine":
        share = math.cos(math.pi * epoch / (2 * params["max_epoch"]))
    elif schedule == "exp":
        share = params.get("eta_exp_gamma", 0.8) ** (epoch - 1)
    else:
        return None
    return lowest + (start - lowest) * share


def run(case):
    module = loss_of(case)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("temperature"):
                buffer.fill_(start_of(case))
    found = {}
    for place, step in enumerate(case.inputs["steps"]):
        outputs = one_step(case, module, step)
        found |= {f"steps.{place}.{name}": value for name, value in outputs.items()}
    return found


def one_step(case, module, step):
    bimodal = "bimodal" in case.what
    names = ("image", "text") if bimodal else ("z1", "z2")
    leaves = [to_tensor(step[name]) for name in names]
    index = torch.tensor(step["index"])
    states = list(module.states) if bimodal else [module.state]
    before = [x[index].clone() for x in (states[0].temperature, states[0].momentum)]
    settings = {}
    if "epoch" in step:
        unseen = bool(states[0].estimate[index].sum() == 0)
        settings["gamma"] = gamma_of(case, step["epoch"], unseen)
        settings["eta"] = eta_of(case, step["epoch"]) if bimodal else None
    loss = module(*leaves, index, **settings)
    found = {"loss": loss}
    for name, grad in zip(names, torch.autograd.grad(loss, leaves), strict=True):
        found[f"grad_{name}"] = grad
    if bimodal:
        for place, state, short in zip("12", states, "IT", strict=True):
            name = "img" if short == "I" else "txt"
            found |= {f"u{place}": state.estimate, f"s_{short}": state.estimate}
            found |= {f"b{place}": state.peak, f"b_{short}": state.peak}
            found |= {f"tau_{name}": state.temperature, f"tau_{short}": state.temperature}
            found |= {f"grad_tau_{name}": state.momentum, f"u_{short}": state.momentum}
    else:
        state = states[0]
        found |= {"u": state.estimate, "s": state.estimate, "tau": state.temperature}
        found |= {"grad_tau_ema": state.momentum, "u_tau_grad_ema": state.momentum}
        beta = module.rules.beta
        slope = (state.momentum[index] - (1 - beta) * before[1]) / beta
        found |= {"mean_tau_before_update": before[0].mean(), "mean_tau_grad": slope.mean()}
    return {name: value.detach().clone() for name, value in found.items()}
