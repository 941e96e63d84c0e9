"""ND and the two distillation losses it is added to."""

from counterpoint.objectives.distillation import dkd, kd
from counterpoint.objectives.nd import nd


def run(case):
    params = case.params
    if "class_means" in case.inputs:
        loss = nd(case["student"], case["teacher"], case["class_means"], case["labels"])
        return {"loss": params["nd_loss_factor"] * loss}
    student, teacher = case["student_logits"], case["teacher_logits"]
    if "labels" not in case.inputs:
        return {"loss": params["factor"] * kd(student, teacher, temperature=params["T"])}
    loss = dkd(
        student,
        teacher,
        case["labels"],
        alpha=params["alpha"],
        beta=params["beta"],
        temperature=params["T"],
    )
    return {"loss": loss}
