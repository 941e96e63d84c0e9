"""NTPT, and NSPT where it is supervised contrast."""

import torch

from counterpoint.objectives import functional as F


def run(case):
    student, labels, tau = case["student"], case["labels"], case.params["tau"]
    if "teacher" in case.inputs:
        loss = F.nspt(
            student,
            case["teacher"],
            labels,
            case["is_rehearsal"].bool(),
            tau,
            denominator="teacher",
        )
    else:
        loss = F.nspt(
            student,
            student,
            labels,
            torch.ones_like(labels, dtype=torch.bool),
            tau,
            self_positive=case.params["self_positive"],
            self_in_denominator=case.params["self_in_denominator"],
            detach_teacher=False,
        )
    return {"loss": loss}
