"""The backbone of shifted windows, whose recorded arrays have flax layouts, and the scores."""

from goldens import to_tensor
from torch.func import functional_call

from counterpoint.encoders.shifted_windows import ShiftedWindowTransformer
from counterpoint.probes.detection_scores import detection_scores, region_logits

NAMES = {
    "attn/query": "query",
    "attn/key": "key",
    "attn/value": "value",
    "attn/out": "out",
    "ln_1": "before_attention",
    "ln_2": "before_mlp",
    "mlp/c_fc": "mlp.0",
    "mlp/c_proj": "mlp.2",
}


def ours(name, value, width, grid):
    """A recorded parameter under our name and in our layout."""
    if name == "positional_embedding":
        return "position", value.reshape(grid, grid, width)
    layer, kind = name.rsplit("/", 1)
    kind = "bias" if kind == "bias" else "weight"
    if layer == "conv1":
        return f"patches.{kind}", value if kind == "bias" else value.permute(3, 2, 0, 1)
    if layer == "ln_post":
        return f"norm.{kind}", value
    block, part = layer.removeprefix("transformer/resblocks.").split("/", 1)
    if kind == "bias" or part.startswith("ln"):
        value = value.flatten()
    elif part == "attn/out":
        value = value.flatten(0, 1).T
    else:
        value = value.flatten(1).T
    return f"blocks.{block}.{NAMES[part]}.{kind}", value


def backbone(case):
    p, images = case.params, case["images_NHWC"].double().permute(0, 3, 1, 2)
    width, grid = p["features"], p["pretrained_pos_emb_size"]
    weights = dict(
        ours(name, to_tensor(value).double(), width, grid)
        for name, value in case.inputs["params"].items()
    )
    depth = len({name.split("/")[1] for name in case.inputs["params"] if "resblocks" in name})
    outputs = {}
    for name, shift in (("shifted_avg", p["shift_patches"]), ("no_shift", 0)):
        net = ShiftedWindowTransformer(
            width,
            p["num_heads"],
            p["windows_per_side_per_layer"] or [None] * depth,
            patch=p["patch_size"],
            grid=grid,
            shift=shift,
        )
        found = functional_call(net, weights, (images,))
        outputs[f"feature_map_{name}"] = found.permute(0, 2, 3, 1)
    return outputs


def run(case):
    if "images_NHWC" in case.inputs:
        return backbone(case)
    p, text = case.params, case["text_features"]
    detector = region_logits(case["box_features"], text, p["detector_temperature"])
    frozen = region_logits(case["vlm_box_features"], text, p["vlm_temperature"])
    weights = {"base_weight": p["base_vlm_weight"], "novel_weight": p["novel_vlm_weight"]}
    base = case["base_indicator"][:, None]
    return {
        "detector_logits": detector,
        "vlm_logits": frozen,
        "ensemble_with_base_indicator": detection_scores(detector, frozen, base, **weights),
        "ensemble_all_novel": detection_scores(detector, frozen, **weights),
    }
