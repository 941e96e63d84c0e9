"""NTPT, and NSPT where it is supervised contrast."""

import torch

from counterpoint.objectives import functional as F


def run(case):
    student, labels, tau = case["student"], case["labels"], case.params["tau"]
    selves = {name: on for name, on in case.params.items() if name.startswith("self_")}
    if "teacher" in case.inputs:
        loss = F.nspt(
            student,
            case["teacher"],
            labels,
            case["is_rehearsal"].bool(),
            tau,
            denominator=case.params.get("denominator", "teacher"),
            **selves,
        )
    else:
        loss = F.nspt(
            student,
            student,
            labels,
            torch.ones_like(labels, dtype=torch.bool),
            tau,
            detach_teacher=False,
            **selves,
        )
    return {"loss": loss}
