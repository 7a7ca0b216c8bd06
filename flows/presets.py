"""Named sets of settings. What a preset leaves out keeps its default; the defaults are those of the paper preset."""

from typing import Any

# Records of the demo catalogue: enough that a model which starts from nothing learns to look.
DEMO_ITEMS = 7500

PRESETS: dict[str, dict[str, Any]] = {
    # Whatever the catalogue holds, up to 18,000 products.
    "default": {},
    # 14,000 + 1,000 + 3,000 products, exactly: the original experiment with its sizes demanded.
    "paper": {"sample.exact": True},
    # Drawn products, small pictures, no pretrained weights: minutes on two cores. No language model is downloaded.
    "demo": {
        "image.size_px": 96,
        "encoder.name": "resnet18",
        "encoder.weights": "none",
        "encoder.grid": 0,
        "encoder.max_stride_px": 16,
        "decoder.attention_size": 256,
        "decoder.embedding_size": 256,
        "decoder.hidden_size": 256,
        "decoder.dropout": 0.3,
        "decoder.word_head": True,
        "train.batch_size": 16,
        "train.epochs": 9,
        "train.encoder_learning_rate": 1e-3,
        "train.decoder_learning_rate": 2e-3,
        "train.schedule": "cosine",
        "train.jitter": 0.1,
        "train.small_first": 0.67,
        "train.regularisation": 0.1,
        "train.monitor": "cider_d",
        "search.length_penalty": 1.0,
        "search.mirrored": True,
        "score.bertscore": "never",
        "score.meteor": False,
    },
    # The standard corpus with five references a picture; given splits. The encoder stays frozen, so it trains on a CPU.
    "flickr8k": {
        "image.size_px": 224,
        "vocabulary.min_count": 5,
        "encoder.name": "squeezenet1_1",
        "encoder.grid": 7,
        "encoder.normalise": True,
        "decoder.attention_size": 256,
        "decoder.embedding_size": 256,
        "train.epochs": 10,
        "train.freeze_encoder_epochs": 10,
        "train.reward_epochs": 3,
        "train.batch_size": 64,
        "train.decoder_learning_rate": 8e-4,
        "train.schedule": "cosine",
        "train.average": 0.998,
        "train.label_smoothing": 0.1,
        "train.regularisation": 0.3,
        "train.rotation_degrees": 0,
        "search.length_penalty": 0.8,
        "search.mirrored": True,
        "search.enlarged": True,
    },
}
