"""Losses of samples from logits, their weights, and the weighted losses of both forms."""

from counterpoint.curation.loss_weights import (
    emphasis,
    loss_weights,
    spread_losses,
    weighted_loss,
)
from counterpoint.objectives.log_probabilities import active_tokens, sequence_log_probability


def run(case):
    logits, labels = case["logits"], case["labels"]
    ignored, delta = case.params["ignore_index"], case.params["delta"]
    strategy = {"mid": "quadratic"}.get(case.params["strategy"], case.params["strategy"])
    losses = -sequence_log_probability(logits, labels, reduction="mean", ignore_index=ignored)
    tokens = active_tokens(labels, ignore_index=ignored)
    valid = tokens > 0
    spread = spread_losses(losses, delta=delta, valid=valid)
    weights = loss_weights(losses, strategy, temperature=case.params["r"], delta=delta, valid=valid)
    uniform = loss_weights(losses, "uniform", valid=valid)
    return {
        "per_sample_loss": losses,
        "active_tokens": tokens,
        "normalised_h": spread,
        "strategy_f": emphasis(spread, strategy, delta),
        "weights": weights,
        "loss": weighted_loss(losses, weights),
        "loss_length_weighted": weighted_loss(losses, weights, tokens=tokens),
        "baseline_length_weighted": weighted_loss(losses, uniform, tokens=tokens),
    }
