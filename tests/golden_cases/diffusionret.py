"""Similarity with discrimination, both denoisers with DDIM, and the schedule."""

import torch
from goldens import to_tensor
from torch.func import functional_call

from counterpoint.encoders.list_denoiser import ListDenoiser
from counterpoint.encoders.noise_schedule import NoiseSchedule
from counterpoint.encoders.token_weights import TokenWeights
from counterpoint.objectives import functional as F
from counterpoint.objectives.diffusionret import token_similarity

TOLERANCES = {"ddim_sample": 1e-5}
"""The recorder rounds the schedule of every step to single precision."""
NAMES = {
    "q_proj": "query",
    "k_proj": "key",
    "v_proj": "value",
    "proj": "out",
    "embed_timestep.time_embed": "step",
    "decoder": "decoder",
}


def weights(case, name, tokens, mask):
    leaves = {k: to_tensor(v) for k, v in case.inputs[name].items()}
    case.leaves |= {f"{name}.{k}": leaf for k, leaf in leaves.items()}
    layers = {f"score.{k}": leaf for k, leaf in leaves.items()}
    return functional_call(TokenWeights(tokens.shape[2]), layers, (tokens, mask))


def similarity(case):
    text, video = case["text_feat"], case["video_feat"]
    masks = case["text_mask"], case["video_mask"]
    found = token_similarity(
        text,
        video,
        weights(case, "text_weight_fc", text, masks[0]),
        weights(case, "video_weight_fc", video, masks[1]),
        *masks,
    )
    temperature = 1 / case["logit_scale"].double()
    return {"similarity": found, "loss": F.discrimination(found, temperature)}


class Denoise(torch.nn.Module):
    """One direction of a denoiser, on the features of the case."""

    def __init__(self, case):
        super().__init__()
        self.net = ListDenoiser(case.params["width"], case.params["temp"])
        self.case = case

    def forward(self, x, n):
        text, frames = self.case["text_emb"], self.case["video_emb"]
        if frames.dim() == 4:
            return self.net.of_videos(x, n, text, frames, self.case["video_mask"])
        return self.net.of_texts(x, n, frames, self.case["video_mask"], text)


def noise_schedule(case):
    form = "linear" if "linear" in case.what else case.params.get("schedule", "cosine")
    return NoiseSchedule(case.params["steps"], form=form)


def denoiser(case):
    leaves = {name: to_tensor(value) for name, value in case.inputs["parameters"].items()}
    case.leaves.update(leaves)
    ours = {}
    for name, leaf in leaves.items():
        theirs = next(k for k in NAMES if name.startswith(f"{k}."))
        ours[f"net.{NAMES[theirs]}{name[len(theirs) :]}"] = leaf
    net, schedule = Denoise(case), noise_schedule(case)
    x0 = case["x0"].double()
    noisy = schedule.noisy(x0, case["t"], case["noise"])
    prediction = functional_call(net, ours, (noisy, case["t"]))
    bound = 1.0 if case.params["clip_denoised"] else None
    return {
        "x_t": noisy,
        "prediction": prediction,
        "loss": F.list_generation(prediction, case.params["d_temp"]),
        "ddim_sample": schedule.sample(
            lambda x, n: functional_call(net, ours, (x, n)), case["x_T"], bound
        ),
    }


def run(case):
    if "text_feat" in case.inputs:
        return similarity(case)
    if "parameters" in case.inputs:
        return denoiser(case)
    schedule = noise_schedule(case)
    return {"betas": schedule.betas, "alphas_cumprod": schedule.kept}
