"""The cache, its semantic similarity, the logits and the entropy of the mean prediction."""

from counterpoint.curation.tfup import select_cache, semantic_similarity, tfup_logits
from counterpoint.objectives.marginal_entropy import marginal_entropy

TOLERANCES = {"sim_with_float16_buffer": 1e-2}


def run(case):
    params = case.params
    if "shots" in params:
        found = select_cache(
            case["features"],
            case["text_weights"],
            params["shots"],
            scale=params["logit_scale_for_selection"],
        )
        return {"indices": found.indices, "cache_labels": found.labels}
    if "text_weights_DxC" in case.inputs:
        similarity = semantic_similarity(
            case["test_features"],
            case["cache_keys"],
            case["text_weights_DxC"].T,
            scale=params["temperature_scale"],
        )
        return {"sim": similarity, "sim_with_float16_buffer": similarity}
    if "logits" in case.inputs:
        return {"loss": marginal_entropy(case["logits"])}
    inputs = (
        case["test_features"],
        case["cache_keys"],
        case["cache_onehot"],
        case["text_weights"],
    )
    scale = params["clip_scale"]
    return {
        "zero_shot_logits": tfup_logits(*inputs, alpha=0.0, logit_scale=scale),
        "tfup_logits": tfup_logits(
            *inputs, alpha=params["alpha"], beta=params["beta"], logit_scale=scale
        ),
    }
