"""Debiasing, the losses of both branches and the estimate of class sizes."""

import torch
from sklearn.cluster import KMeans
from torch.nn.functional import normalize

from counterpoint.objectives.bacon import (
    cross_view_distillation,
    distribution_regulariser,
    masked_supcon,
    soft_supcon,
    teacher_temperature,
)
from counterpoint.objectives.nt_xent import nt_xent
from counterpoint.objectives.supcon import supcon
from counterpoint.pairs.estimated_classes import (
    debiased_labels,
    estimate_counts,
    logit_adjustment,
    select_balanced,
)


def run(case):
    params = case.params
    what = case.what
    if "adjustment" in what:
        return {"adjustment": logit_adjustment(case["est_count"], params["kappa(tro)"])}
    if "regulariser" in what:
        settings = {"power": params["p"], "temperature": params["temp"]}
        return {
            "loss": distribution_regulariser(case["student_out"], case["est_count"], **settings)
        }
    if "distillation" in what:
        return {"loss": distilled(case)}
    if "info_nce" in what:
        z1, z2 = case["features"].chunk(2)
        return {"loss": nt_xent(z1, z2, params["temperature"])}
    if "alone" in what:
        loss = masked_supcon(
            case["features"].flatten(2),
            case["soft_mask"].double(),
            params["temperature"],
            base_temperature=params["base_temperature"],
            normalize=False,
        )
        return {"loss": loss}
    if "SupConLoss" in what:
        return {"loss": labelled(case)}
    if "distribution estimate" in what:
        return {"est_count": estimated(case)}
    return {"loss": soft(case)}


def labelled(case):
    sharpness, base = case.params["temperature"], case.params["base_temperature"]
    views = case["features"].flatten(2).unbind(1)
    labels = case["labels"].repeat(len(views))
    return supcon(torch.cat(views), labels, sharpness, normalize=False) * sharpness / base


def distilled(case):
    params = case.params
    sharp = teacher_temperature(
        params["epoch"],
        start=params["warmup_teacher_temp"],
        end=params["teacher_temp"],
        warmup=params["warmup_epochs"],
    )
    views = case["student_out"].chunk(2)
    return cross_view_distillation(
        *views, teacher_temperature=sharp, temperature=params["student_temp"]
    )


def soft(case):
    labelled = case["mask_labelled"].bool()
    counts = case["est_count"]
    labels = debiased_labels(
        *case["student_out"].detach().chunk(2), counts, kappa=case.params["kappa"]
    )
    free = (~labelled).nonzero().flatten()
    picked = select_balanced(labels[free], counts, case["labels"], alpha=0.0, beta=0.0)
    chosen = torch.cat([labelled.nonzero().flatten(), free[picked]])
    features = torch.stack([view[chosen] for view in case["features"].chunk(2)], 1)
    base = case.params.get("base_temperature", 0.07)
    return soft_supcon(
        features, labels[chosen], case.params["tau"], base_temperature=base, normalize=False
    )


def estimated(case):
    known, novel = case.params["num_known"], case.params["num_novel"]
    features = normalize(case["features"].detach(), dim=1)
    found = KMeans(known + novel, random_state=0).fit_predict(features.numpy())
    labels = torch.where(case["mask_labelled"].bool(), case["y_true"], -1)
    return estimate_counts(torch.as_tensor(found).long(), labels, known, novel)
