"""Weights of several clusterings, learnt weights, and neighbours along a meta-path."""

import torch

from counterpoint.encoders.pair_weight import PairWeight
from counterpoint.objectives.meow import adameow, meow_info, meow_proto
from counterpoint.pairs.clusterings import prototypes
from counterpoint.pairs.meta_paths import path_neighbours, symmetric_weights


def run(case):
    if "count_matrix" in case.inputs:
        kept = path_neighbours(case["count_matrix"].detach(), case.params["nei_max"])
        return {
            "kept_counts": kept.to_dense(),
            "normalised_float32": symmetric_weights(kept.double()).to_dense(),
        }
    anchors, z, tau = case["z_anchor"], case["z"], case.params["tau"]
    if "mlp_w1" in case.inputs:
        return learnt(case, anchors, z, tau)
    clusterings = [prototypes(z, as_tensor(raw), tau) for raw in case.inputs["raw_centroids"]]
    clusters = torch.stack([one.clusters for one in clusterings])
    info = meow_info(anchors, z, clusters, tau, normalize=False)
    proto = meow_proto(anchors, clusterings, normalize=False)
    found = {
        "im2cluster": clusters,
        "loss_info": info,
        "loss_proto": proto,
        "grad_z_anchor_info": torch.autograd.grad(info, anchors)[0],
        "grad_z_anchor_proto": torch.autograd.grad(proto, anchors)[0],
    }
    info = meow_info(anchors, z, clusters, tau, normalize=False)
    found["grad_z_info"] = torch.autograd.grad(info, z)[0]
    for place, one in enumerate(clusterings):
        found[f"centroids_normalised.{place}"] = one.directions
        found[f"density.{place}"] = one.temperature
    return found


def as_tensor(recorded):
    return torch.tensor(recorded["data"], dtype=torch.float64).reshape(recorded["shape"])


def learnt(case, anchors, z, tau):
    w1, b1, w2, b2 = (case[f"mlp_{name}"] for name in ("w1", "b1", "w2", "b2"))
    weight = PairWeight(w1.shape[1], len(w1)).double()
    for layer, tensors in ((weight.first, (w1, b1)), (weight.second, (w2, b2))):
        for name, tensor in zip(("weight", "bias"), tensors, strict=True):
            delattr(layer, name)
            setattr(layer, name, tensor)
    return {
        "loss": adameow(anchors, z, weight, tau, normalize=False),
        "weights": weight(anchors[:, None], z[None]),
    }
