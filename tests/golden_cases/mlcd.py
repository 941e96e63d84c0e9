"""Both sides apart and together, with all, with sampled and with no negatives."""

import torch

from counterpoint.objectives.mlcd import mlcd


def run(case):
    z, centers = case["embedding"], case["centers"]
    labels = case["positive_labels"].detach().long()
    labels = labels.reshape(len(z), labels.numel() // len(z))
    kept = case["negative_mask"].detach().bool()
    nobody, nothing = torch.full_like(labels, -1), torch.zeros_like(kept)
    temperature = 1 / case.params["scale"]
    own = torch.zeros_like(kept).scatter(1, labels, True)

    def side(labels, mask):
        return mlcd(
            z,
            centers,
            labels,
            temperature,
            negative=lambda i, j: mask[i, j],
            reduction="none",
        )

    return {
        "positive_loss_per_sample": side(labels, nothing),
        "negative_loss_per_sample": side(nobody, kept & ~own),
        "loss": side(labels, kept).mean(),
    }
