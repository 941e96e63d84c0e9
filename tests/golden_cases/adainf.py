"""The contrast by image id, and the inflated training set."""

import torch

from counterpoint.curation.inflation import inflated_labels, inflated_rows
from counterpoint.objectives import functional as F
from counterpoint.pairs import SameLabel, not_self


def run(case):
    if "z" in case.inputs:
        z = case["z"]
        loss = F.contrast(
            z,
            z,
            case.params["temperature"],
            positive=SameLabel(case["index"]),
            valid=not_self,
            aggregate="log_sum",
        )
        return {"loss": loss}
    real, generated, repeats = case["real"], case["generated"], case.params["dup"]
    rows, _ = inflated_rows(len(real), len(generated), repeats)
    return {
        "data": torch.cat([real, generated])[rows],
        "label": inflated_labels(case["real_label"], len(generated), repeats),
    }
