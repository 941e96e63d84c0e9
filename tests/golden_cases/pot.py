"""GRACE with POT: bounds, compactness, both losses and their gradients."""

import torch
from torch.nn.functional import elu, softplus

from counterpoint.encoders.graph_convolution import TwoConvolutions, convolution_weights
from counterpoint.objectives.graph_bounds import weight_bounds
from counterpoint.objectives.nt_xent import nt_xent
from counterpoint.objectives.pot import compactness, contrast_weights, pot


def run(case):
    params, x = case.params, case["x"]
    encoder = TwoConvolutions(
        x.shape[1], *(len(case[name]) for name in ("W1", "W2")), activation=params["activation"]
    ).double()
    parts = ((encoder.first, "1"), (encoder.second, "2"))
    for layer, number in parts:
        del layer.weight, layer.bias
        layer.weight, layer.bias = case[f"W{number}"], case[f"b{number}"]
    if params["activation"] == "prelu":
        slope = params.get("prelu_slope", params.get("slope", 0.25))
        encoder.activation.weight.data.fill_(slope)
    count = len(x)
    nodes = torch.tensor(params.get("node_list") or range(count))
    double = {"dtype": torch.float64}
    views = tuple(convolution_weights(case[f"edge_index_{k}"], count, **double) for k in (1, 2))
    bounds = tuple(
        weight_bounds(case["edge_index"], count, params[f"drop_{k}"], **double) for k in (1, 2)
    )
    z1, z2 = (encoder(x, view) for view in views)
    scores = [
        compactness(other, encoder, x, view, bound, nodes=nodes)
        for other, view, bound in zip((z2, z1), views, bounds, strict=True)
    ]
    regulariser = pot(z1, z2, encoder, x, views, bounds, nodes=nodes)

    def project(z):
        hidden = elu(z @ case["proj_W1"].T + case["proj_b1"])
        return hidden @ case["proj_W2"].T + case["proj_b2"]

    host = nt_xent(project(z1), project(z2), params["tau"])
    total = (1 - params["kappa"]) * host + params["kappa"] * regulariser
    found = {
        "z1": z1,
        "z2": z2,
        "A_upper_1": bounds[0].upper.to_dense(),
        "A_lower_1": bounds[0].lower.to_dense(),
        "compactness_1": scores[0],
        "compactness_2": scores[1],
        "pot_loss_1": softplus(-scores[0]).mean(),
        "pot_loss_2": softplus(-scores[1]).mean(),
        "pot_loss": regulariser,
        "nce_loss": host,
        "total": total,
        "true_contrast_view1": (z1[nodes] * contrast_weights(z2, nodes)).sum(1),
    }
    inner = ["W1", "b1", "W2", "b2"]
    outer = [*inner, *(f"proj_{name}" for name in inner)]
    for kind, loss, names in (("pot", regulariser, inner), ("total", total, outer)):
        grads = torch.autograd.grad(loss, [case[name] for name in names], retain_graph=True)
        found |= {f"grad_{kind}_{n}": grad for n, grad in zip(names, grads, strict=True)}
    return found
