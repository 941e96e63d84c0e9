"""Cells that find their place make better dense features than images that find themselves.

Source: Xie et al., "Propagate Yourself", CVPR 2021.
"""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Literal

import torch
from torch import Tensor

from counterpoint import encoders, methods
from counterpoint.claims._claim import Claim, Pair, Part
from counterpoint.claims._mosaics import mosaics
from counterpoint.claims._steps import train
from counterpoint.data.batch import Batch
from counterpoint.data.dataset import Split
from counterpoint.encoders.base import Encoder
from counterpoint.encoders.feature_map import feature_map
from counterpoint.methods.base import Codes, Method
from counterpoint.objectives import functional as F
from counterpoint.probes.dense import Dense
from counterpoint.threads import one_thread

STEPS, BATCH, LR = 250, 64, 1e-3
TRAIN, TEST = 1000, 500
SMALLEST = 0.2
TEMPERATURE, THRESHOLD = 0.3, 0.7
ENCODER, WIDTH, OUTPUTS = "conv-dense", 64, 128
PROBE = Dense()
Pairs = Literal["cells", "images"]


def measure(seed: int) -> dict[str, Pair]:
    """Trains with both kinds of pairs on the same crops, and probes the digit at each place."""
    data, train_y, test_y = mosaics(2, 2, zoom=2, train=TRAIN, test=TEST, seed=seed)

    def accuracy(pairs: Pairs | None) -> float:
        with one_thread(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = encoders.build(
                ENCODER, modality="images", channels=1, size=data.size, width=WIDTH
            )
            if pairs is not None:
                method = methods.build(
                    "pixpro",
                    encoder,
                    objective="pixcontrast",
                    temperature=TEMPERATURE,
                    threshold=THRESHOLD,
                    smallest=SMALLEST,
                    outputs=OUTPUTS,
                )
                loss = _of_cells if pairs == "cells" else _of_images
                train(method, data, partial(loss, method), STEPS, BATCH, LR, seed)
            return PROBE.score(
                _maps(encoder, data.train), train_y, _maps(encoder, data.test), test_y
            )

    cells, images = accuracy("cells"), accuracy("images")
    return {"dense": (cells, images), "learns": (cells, accuracy(None))}


def _of_cells(method: Method, codes: Codes, batch: Batch) -> Tensor:
    return method.contrast(codes, batch)["loss"]


def _of_images(method: Method, codes: Codes, batch: Batch) -> Tensor:
    """Both ways, each image's mean cell against the mean keys of the batch."""
    z = {name: cells.mean((2, 3)) for name, cells in codes.items()}
    one = F.info_nce(z["y1"], z["k2"], temperature=TEMPERATURE)
    return (one + F.info_nce(z["y2"], z["k1"], temperature=TEMPERATURE)) / 2


@torch.no_grad()
def _maps(encoder: Encoder, split: Split) -> Tensor:
    encoder.eval()
    pixels = split.gather(torch.arange(len(split))).float() / 255
    return torch.cat([feature_map(encoder, part) for part in pixels.split(250)])


CLAIM = Claim(
    id="pixpro",
    claim="Contrast of cells that show the same place makes better dense features than contrast "
    "of whole images.",
    data=f"mosaics of 2 x 2 random digits, 32 pixels: {TRAIN} to learn from, {TEST} of held-out "
    "digits",
    settings={
        "steps": STEPS,
        "batch": BATCH,
        "optimiser": f"Adam, lr {LR}",
        "temperature": TEMPERATURE,
        "threshold": THRESHOLD,
        "smallest_crop": SMALLEST,
        "encoder": f"{ENCODER}: 8 x 8 cells of {WIDTH} channels",
        "head": f"1x1 convolution, batch norm, ReLU, 1x1 convolution to {OUTPUTS}",
        "momentum": "0.99 to 1 along a cosine, for keys, in both",
        "probe": asdict(PROBE),
        "pilot": "before the counted run, seed 100 alone: 128 channels left no room above the "
        "untrained encoder (0.936 against 0.938, untrained 0.895), 64 did (0.908 against 0.886)",
    },
    measure=measure,
    parts=(
        Part(
            id="dense",
            claim="Pairs of cells beat pairs of images.",
            method="PixContrast: cells of one place against the other cells of the image",
            baseline="InfoNCE of the mean projected cell among the images of the batch; crops, "
            "encoder, head, keys and temperature equal",
            metric="accuracy of a linear probe of the digit at each place (0 to 1)",
            refuted_below=0.01,
        ),
        Part(
            id="learns",
            claim="Pairs of cells beat the encoder as it starts.",
            method="PixContrast",
            baseline="the same encoder, untrained",
            metric="accuracy of a linear probe of the digit at each place (0 to 1)",
        ),
    ),
)
