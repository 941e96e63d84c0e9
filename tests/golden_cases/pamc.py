"""Influence, membership, meta-nodes, and the full step."""

import torch
from torch.nn.functional import normalize

from counterpoint.objectives.pamc import cluster_divergence, meta_node_contrast, pamc
from counterpoint.pairs.influence import influence
from counterpoint.pairs.soft_assignment import log_membership, log_target, meta_nodes


def run(case):
    params, z, centres = case.params, case["z"], case["cluster_centres"]
    reach = influence(
        case["adj_rownorm_with_selfloops"], params["order"], cumulative=params["cumulative"]
    )
    log_q = log_membership(z, centres, freedom=params["v"])
    assignment = log_q.argmax(1)
    meta = meta_nodes(z, assignment)
    unit = normalize(meta, dim=1)
    temperature = 1 / params["tau"]
    contrast = meta_node_contrast(z, assignment, reach, temperature)
    divergence = cluster_divergence(z, centres, freedom=params["v"])
    weights = {"alpha": params["alpha"], "beta": params["beta"], "freedom": params["v"]}
    total = pamc(z, centres, reach, temperature, **weights)

    def gradient(loss, of):
        return torch.autograd.grad(loss, of, retain_graph=True)[0]

    return {
        "A_r_dense": reach.to_dense(),
        "q": log_q.exp(),
        "p": log_target(log_q).exp(),
        "hard_assignment": assignment,
        "meta_nodes": meta,
        "meta_sim": (unit @ unit.T).fill_diagonal_(0),
        "loss": contrast,
        "loss_dense_variant": meta_node_contrast(z, assignment, reach.to_dense(), temperature),
        "kl": divergence,
        "grad_z_kl": gradient(divergence, z),
        "grad_cluster_centres_kl": gradient(divergence, centres),
        "total": total,
        "grad_z_total": gradient(total, z),
        "grad_cluster_centres_total": gradient(total, centres),
    }
