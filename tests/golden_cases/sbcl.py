"""Both levels, the ablation, the warm-up, the queue form and the temperatures of classes."""

import torch

from counterpoint.objectives.multiview import view_rows
from counterpoint.objectives.sbcl import sbcl, sbcl_queue
from counterpoint.objectives.supcon import supcon
from counterpoint.pairs.subclasses import class_temperatures, subclass_counts


def run(case):
    params, inputs = case.params, case.inputs
    if "class_sizes" in inputs:
        sizes = case["class_sizes"]
        counts = subclass_counts(sizes, params["delta"])
        labels = torch.arange(len(sizes)).repeat_interleave(sizes)
        temperatures = class_temperatures(case["features"], labels, counts, params["tau"])
        return {"class_temperature": temperatures, "cluster_number": counts}
    if "cosines" in inputs:
        return {"loss": with_queue(case)}
    features, labels = case["features"], case["labels"]
    if "clusters" not in inputs:
        rows, views = view_rows(features)
        loss = supcon(rows, labels.repeat(views), params["tau"], normalize=False)
        return {"loss": params["tau"] / params["base_temperature"] * loss}
    levels = "class_temperature" in inputs
    loss = sbcl(
        *(features, labels, case["clusters"], params["tau1" if levels else "tau"]),
        class_temperature=case["class_temperature"].float() if levels else None,
        beta=params["beta(grama)"],
        base_temperature=params["base_temperature"],
        denominator="levels" if levels else "all",
        normalize=False,
    )
    return {"loss": loss}


def with_queue(case):
    cosines = case["cosines"]
    axes = torch.eye(cosines.shape[1], dtype=torch.float64)
    return sbcl_queue(
        cosines,
        axes[:1].expand(len(cosines), -1),
        axes[1:],
        case["labels"],
        case["clusters"],
        case["queue_labels"].flatten(),
        case["queue_clusters"].flatten(),
        case.params["tau1"],
        class_temperature=case.params["tau2"],
        beta=case.params["beta"],
        normalize=False,
    )
