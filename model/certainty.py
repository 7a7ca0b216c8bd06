"""How sure the model was of a word against its rivals: of "red", against the other colours at the same place.

B pictures, T words, R packed rows, V vocabulary, C words that have rivals.
"""

from collections.abc import Collection, Mapping, Sequence

import torch

from model.decoder import Decoder, padded
from model.grid import Grid
from model.vocabulary import Vocabulary


@torch.no_grad()
def certainties(
    decoder: Decoder,
    looks: Sequence[Grid],
    sentences: Sequence[Sequence[int]],
    vocabulary: Vocabulary,
    kinds: Mapping[str, Collection[str]],
) -> list[dict[str, float]]:
    """Of what the model gave at a word's place to the words of all kinds, the share of those of the word's own kinds.

    The wording around the word does not matter: a model that wavers between "a red" and "a long" may be sure of red.

    Args:
        decoder: in evaluation mode.
        looks: at B pictures, see `model.looks`: the share is the mean of all.
        sentences: what was written for each, as indices.
        vocabulary: the model's words.
        kinds: kind -> its words; a word may be of several.

    Returns:
        For each sentence, its words that are of a kind: the share, 0 … 1, the least where a word stands twice.
    """
    found: list[dict[str, float]] = [{} for _ in sentences]
    known = sorted(word for word in set().union(*kinds.values()) if word in vocabulary.indices)
    if not known:
        return found
    device = looks[0].features.device
    members = torch.tensor([vocabulary.indices[word] for word in known], device=device)  # (C,)
    own = torch.tensor(
        [[any(one in words and other in words for words in kinds.values()) for other in known] for one in known],
        dtype=torch.float32,
        device=device,
    )  # (C, C)
    place_of = torch.full((len(vocabulary),), -1, device=device)
    place_of[members] = torch.arange(len(known), device=device)

    order = sorted(range(len(sentences)), key=lambda row: -len(sentences[row]))
    lengths = [len(sentences[row]) + 2 for row in order]
    captions = padded([[vocabulary.start, *sentences[row], vocabulary.end] for row in order])  # (B, T)
    rows = torch.tensor(order, device=device)
    taught, *others = [decoder(look.select(rows), captions.to(device), lengths) for look in looks]
    at = place_of[taught.targets] >= 0
    word = place_of[taught.targets[at]]
    each = [one.logits[at][:, members].softmax(-1) for one in (taught, *others)]  # (R, V) -> (R of a kind, C)
    among = torch.stack(each).mean(0)
    shares = (among * own[word]).sum(-1)
    for caption, one, share in zip(taught.caption[at].tolist(), word.tolist(), shares.tolist(), strict=True):
        certain = found[order[caption]]
        certain[known[one]] = min(share, certain.get(known[one], 1.0))
    return found
