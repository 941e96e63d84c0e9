"""NT-Xent, scattering coefficients, their number, and the tiles of the jigsaw."""

import torch

from counterpoint.encoders.scattering import Scattering, scattering_channels
from counterpoint.objectives import functional as F
from counterpoint.views.jigsaw import tile_boxes

TOLERANCES = {"coefficients": 1e-5}


def run(case):
    params = case.params
    if "zi" in case.inputs:
        return {"loss": F.nt_xent(case["zi"], case["zj"], params["temperature"])}
    if "x" in case.inputs:
        image = case["x"].detach()
        sides = image.shape[-2:]
        module = Scattering(*sides, params["J"], params["L"]).double()
        maps = module(image.reshape(-1, 1, *sides))
        if params.get("max_order") == 1:
            maps = maps[:, : 1 + params["J"] * params["L"]]
        return {"coefficients": maps}
    if "image_size" in params:
        return {"boxes": torch.tensor(tile_boxes(params["image_size"]))}
    return {"n": scattering_channels(params["J"], params["L"], params["channels"])}
