"""Loss of given logits, the gated loss, the cosine of the paper, and the gate network."""

import torch

from counterpoint.encoders.pair_gate import PairGate
from counterpoint.objectives.hydra import hydra, multi_positive


def run(case):
    if "logits" in case.inputs:
        positive, excluded = case["pos_mask"].bool(), case["exclude_mask"].bool()
        return {"loss": multi_positive(case["logits"], positive, excluded).mean()}
    if "parameters" in case.inputs:
        sizes = case.params
        given = {
            name: torch.tensor(value["data"], dtype=torch.float64).reshape(value["shape"])
            for name, value in case.inputs["parameters"].items()
        }
        gate = PairGate(
            len(given["label_embedding.weight"]),
            sizes["out_dim"],
            width=sizes["in_dim"],
            hidden=sizes["mlp_dim"],
            fuse=sizes.get("fuse", True),
        ).double()
        gate.load_state_dict(given, strict=False)
        gate.train("eval" not in case.what)
        return {"gate": gate(case["y"], case["y_partner"])}
    if "gate_logits" in case.inputs:
        params, gate = case.params, case["gate_logits"].sigmoid()
        loss = hydra(
            case["z"],
            case["k"],
            gate,
            case["y"],
            case["y_partner"],
            params["temperature"],
            repulsion=None if params.get("alpha") is None else case["alpha"],
            renormalise=params.get("renormalise", False),
        )
        return {"loss": loss}
    return {"cosine": cosines(case["z"], case["k"], case["gate"])}


def cosines(z, keys, gate):
    """Every cosine, read off the loss of two keys: ``softplus(l_n - l_p)`` of one positive."""
    found = torch.zeros(len(z), len(keys), dtype=z.dtype)
    orthogonal = torch.zeros(z.shape[1] + 1, dtype=z.dtype)
    orthogonal[-1] = 1
    wide = [torch.nn.functional.pad(x, (0, 1)) for x in (z, keys)]
    open_ = torch.nn.functional.pad(gate, (0, 1), value=1.0)
    for key in range(len(keys)):
        for row in range(len(z)):
            loss = hydra(
                wide[0][[row, row]],
                torch.stack([wide[1][key], orthogonal]),
                open_[[row, row]],
                torch.tensor([0, 1]),
                torch.tensor([0, 0]),
                1.0,
                renormalise=True,
                reduction="none",
            )[0]
            found[row, key] = -torch.log(torch.expm1(loss * (1 + 1e-6)))
    return found
