"""Consecutive steps with state: LibAUC and the authors, of one and of two modalities."""

import torch
from goldens import to_tensor

from counterpoint.objectives.sogclr import BimodalSogCLR, SogCLR


def loss_of(case):
    params = case.params
    shared = {
        "gamma": params["gamma"],
        "first_visit": "batch" if "never called" in params.get("gamma_schedule", "") else "none",
        "rho": params.get("rho", params.get("rho_init")),
        "eta": params.get("eta", params.get("eta_init", 0.0)),
        "beta": params.get("beta", params.get("beta_u", 1.0)),
        "lowest": params.get("tau_min", 0.05),
    }
    samples, start = params["N"], params.get("tau", params.get("tau_init"))
    authors = "authors" in case.what
    shared["highest"] = params.get("tau_max", 1.0 if authors else max(start, 0.7))
    if "bimodal" in case.what:
        variant, negatives = ("released", "mean") if authors else ("paper", "sum")
        return BimodalSogCLR(
            samples, start, variant=variant, negatives=negatives, normalize=False, **shared
        ).double()
    module = SogCLR(samples, start, clip=3.0 if authors else None, normalize=not authors, **shared)
    return module.double()


def run(case):
    module = loss_of(case)
    with torch.no_grad():
        for name, buffer in module.named_buffers():
            if name.endswith("temperature"):
                buffer.fill_(case.params.get("tau", case.params.get("tau_init")))
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
    before = None if bimodal else [x[index].clone() for x in of_state(module.state)]
    first = step.get("epoch") == 0 and not bimodal
    loss = module(*leaves, index, **({"gamma": 1.0} if first else {}))
    found = {"loss": loss}
    for name, grad in zip(names, torch.autograd.grad(loss, leaves), strict=True):
        found[f"grad_{name}"] = grad
    if bimodal:
        for place, state, short in zip("12", module.states, "IT", strict=True):
            name = "img" if short == "I" else "txt"
            found |= {f"u{place}": state.estimate, f"s_{short}": state.estimate}
            found |= {f"b{place}": state.peak, f"tau_{name}": state.temperature}
            found[f"tau_{short}"] = state.temperature
    else:
        state = module.state
        found |= {"u": state.estimate, "s": state.estimate, "tau": state.temperature}
        found |= {"grad_tau_ema": state.momentum, "u_tau_grad_ema": state.momentum}
        beta = module.rules.beta
        slope = (state.momentum[index] - (1 - beta) * before[1]) / beta
        found |= {"mean_tau_before_update": before[0].mean(), "mean_tau_grad": slope.mean()}
    return {name: value.detach().clone() for name, value in found.items()}


def of_state(state):
    return state.temperature, state.momentum
