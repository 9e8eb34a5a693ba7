"""Small CLIP models in folders and files, as open_clip reads them."""

import json
from contextlib import contextmanager

import open_clip
import torch
from safetensors.torch import save_file

VISION = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1}
SIGLIP_TEXT = {
    **TEXT,
    "vocab_size": 64,
    "hf_tokenizer_name": "nobody/tokenizer",
    "tokenizer_kwargs": {"clean": "canonicalize"},
    "no_causal_mask": True,
    "proj_bias": True,
    "pool_type": "last",
}
WORDS = ["<pad>", "</s>", "<unk>", "a", "photo", "of", "the", "cat", "dog", "small"]


@contextmanager
def architectures(configs):
    """Add architectures to open_clip, by name, within the block."""
    open_clip.factory._MODEL_CONFIGS.update(configs)
    try:
        yield
    finally:
        for name in configs:
            open_clip.factory._MODEL_CONFIGS.pop(name)


def clip_folder(path, *, seed=0, **config):
    """Return a CLIP with random weights."""
    model = {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT, **config}
    return _write(path, {"model_cfg": model}, seed)


def siglip_folder(path, *, seed=0, tokenizer=True):
    """Return a SigLIP-style model: logit bias, squashed images, its own tokenizer."""
    model = {
        "embed_dim": 16,
        "init_logit_bias": -10,
        "custom_text": True,
        "vision_cfg": VISION,
        "text_cfg": SIGLIP_TEXT,
    }
    preprocess = {
        "mean": [0.5] * 3,
        "std": [0.5] * 3,
        "interpolation": "bicubic",
        "resize_mode": "squash",
    }
    _write(path, {"model_cfg": model, "preprocess_cfg": preprocess}, seed)
    if tokenizer:
        _write_tokenizer(path)
    return path


def _write(path, config, seed):
    path.mkdir(parents=True)
    (path / "open_clip_config.json").write_text(json.dumps(config))
    torch.manual_seed(seed)
    clip = open_clip.create_model(f"local-dir:{path}")
    save_file(clip.state_dict(), path / "open_clip_model.safetensors")
    return path


def _write_tokenizer(path):
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", 1)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
