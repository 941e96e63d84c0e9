"""The contrastive term from embeddings before their projections, and recall in percent."""

from torch.nn.functional import linear

from counterpoint.objectives.cosmo import cosmo_contrastive
from counterpoint.probes.pair_recall import pair_recall


def run(case):
    image, text = case["vision_embeds"], case["text_embeds"]
    heads = case["W_image"], case["W_text"]
    loss = cosmo_contrastive(
        image, text, case["temperature"].double(), image_head=heads[0], text_head=heads[1]
    )
    recalls = pair_recall(linear(image, heads[0]), linear(text, heads[1]))
    return {"loss": loss, "top1_percent": 100 * sum(recalls) / 2}
