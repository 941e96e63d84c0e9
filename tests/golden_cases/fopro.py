"""Prototypes from few shots, and one forward with the first cleaning rule."""

import torch
from torch.nn.functional import normalize

from counterpoint.curation.fopro import clean, soft_targets
from counterpoint.encoders.relation import Relation
from counterpoint.objectives.fopro import prototype_logits
from counterpoint.pairs.prototypes import polish, unit_class_means
from counterpoint.pairs.queue import MemoryQueue


def run(case):
    params = case.params
    if "fewshot" in case.inputs:
        return {
            "prototypes": unit_class_means(case["fewshot"], case["labels"], params["num_class"])
        }
    x, labels, prototypes = case["x"], case["labels"], case["prototypes"]
    few_shot, tau = case["is_fewshot"].bool(), params["tau"]
    z, strong = normalize(x, dim=1), normalize(case["x_aug"], dim=1)
    queued = case["queue"].T
    logits = x @ case["W_classifier"].T
    soft = soft_targets(
        logits,
        prototype_logits(z, prototypes, temperature=tau),
        labels,
        few_shot,
        alpha=params["alpha"],
    )
    found = clean(soft, labels, few_shot, level=1, gamma=params["gamma"])
    kept, target = found.kept, found.labels
    after = polish(prototypes, z[kept], target[kept], params["proto_m"])
    relation = Relation(x.shape[1], len(case["W_rel1"])).double()
    relation.layers[0].weight.data = case["W_rel1"].detach()
    relation.layers[2].weight.data = case["W_rel2"].detach().reshape(1, -1)
    queue = MemoryQueue(params["queue"], x.shape[1]).double()
    queue.enqueue(queued)
    queue.enqueue(strong)
    own = (z * strong).sum(1, keepdim=True) / tau
    margin = {"margin": params["margin"], "temperature": tau}
    both, twice = torch.cat([z[kept], strong[kept]]), target[kept].repeat(2)
    return {
        "cls_logits": logits[kept],
        "target": target[kept],
        "target_soft": soft[kept],
        "gt_score": found.score[kept],
        "inst_logits": torch.cat([own, prototype_logits(z, queued, temperature=tau)], 1),
        "proto_logits": prototype_logits(z, prototypes, target, margin_rows=few_shot, **margin)[
            kept
        ],
        "relation_logits": relation(z[found.relabelled], after),
        "relation_target": target[found.relabelled],
        "lowdim_logits": prototype_logits(both, case["W_lowdim"], twice, **margin),
        "lowdim_target": twice,
        "corrected_targets_all": target,
        "prototypes_after": after,
        "queue_after": queue.features.T,
    }
