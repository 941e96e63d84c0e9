"""Prototypes from few shots, and one forward with each cleaning rule."""

import re

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
        shots = case["fewshot"].detach()
        present, places = case["labels"].unique(return_inverse=True)
        prototypes = shots.new_zeros(params["num_class"], shots.shape[1])
        prototypes[present] = unit_class_means(shots, places, len(present))
        return {"prototypes": prototypes}
    x, labels, few_shot = case["x"], case["labels"], case["is_fewshot"].bool()
    z, strong = normalize(x, dim=1), normalize(case["x_aug"], dim=1)
    level, gamma, tau = level_of(case), params["gamma"], params["tau"]
    prototypes = case["prototypes"] if params.get("is_proto", True) else None
    relation = relation_of(case, x.shape[1])
    logits = x @ case["W_classifier"].T
    plain = None if prototypes is None else prototype_logits(z, prototypes, temperature=tau)
    soft = soft_targets(logits, plain, labels, few_shot, alpha=params["alpha"])
    judged = relation(z, prototypes).detach() if level >= 2 else None
    found = clean(soft, labels, few_shot, level=level, gamma=gamma, relation=judged)
    kept, target = found.kept, found.labels
    after, confident, taught = prototypes, kept, found.relabelled
    if level:
        after = polish(prototypes, z[kept], target[kept], params["proto_m"])
    else:
        confident = few_shot | close(params, z, prototypes, labels, found.score)
        taught = few_shot | (found.score > 1 / soft.shape[1])
    margin = {"margin": params["margin"], "temperature": tau}
    both, twice = torch.cat([z, strong]), target.repeat(2)
    low = prototype_logits(both, case["W_lowdim"], twice, **margin)
    outputs = {
        "cls_logits": logits[kept],
        "target": target[kept],
        "target_soft": soft[kept],
        "gt_score": found.score[kept],
        "lowdim_logits": low[confident.repeat(2)],
        "lowdim_target": twice[confident.repeat(2)],
        "corrected_targets_all": target,
        **instances(case, z, strong),
    }
    if prototypes is None:
        return outputs
    drawn = prototype_logits(z, prototypes, target, margin_rows=few_shot, **margin)
    return outputs | {
        "proto_logits": drawn[kept],
        "relation_logits": relation(z[taught], after),
        "relation_target": target[taught],
        "prototypes_after": after,
    }


def level_of(case):
    """The cleaning rule: a setting, or named in words."""
    named = re.search(r"is_clean=(\d)", case.what)
    return case.params.get("is_clean", int(named[1]) if named else 1)


def relation_of(case, width):
    relation = Relation(width, len(case["W_rel1"])).double()
    relation.layers[0].weight.data = case["W_rel1"].detach()
    relation.layers[2].weight.data = case["W_rel2"].detach().reshape(1, -1)
    return relation


def close(params, z, prototypes, labels, score):
    """Web rows of the low-dimensional losses while nothing is removed."""
    if prototypes is None:
        return score > params["gamma"]
    gaps = (prototypes @ prototypes.T)[labels] - z @ prototypes.T
    return 0.5 * gaps.abs().sum(1) <= params.get("dist_th", 20)


def instances(case, z, strong):
    """Logits of the queue, and the queue afterwards."""
    tau, queued = case.params["tau"], case["queue"].T
    queue = MemoryQueue(len(queued), z.shape[1]).double()
    queue.enqueue(queued)
    queue.enqueue(strong)
    own = (z * strong).sum(1, keepdim=True) / tau
    return {
        "inst_logits": torch.cat([own, prototype_logits(z, queued, temperature=tau)], 1),
        "queue_after": queue.features.T,
    }
