"""Embed the class names: text features are the weights of the zero-shot head."""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import accumulate, chain, compress, pairwise
from typing import Any

import numpy as np
import open_clip
import torch
from open_clip.tokenizer import HFTokenizer, basic_clean, canonicalize_text
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.features.text_checks import check_distinct, warn_of_cut
from lpclip.models.clip import Model, load_model
from lpclip.models.spec import ModelSpec
from lpclip.storage.attributes import LONGEST_ATTRIBUTE
from lpclip.storage.features import normalise
from lpclip.storage.text import write_text
from lpclip.types import FloatArray, OutputFile

log = logging.getLogger(__name__)

_BATCH = 64


def embed_text(
    *,
    output: OutputFile,
    model: ModelSpec,
    class_names: Sequence[str],
    templates: Sequence[str] = (),
    prompts: Sequence[Sequence[str]] = (),
    device: str = "auto",
) -> None:
    """Write one unit vector per class: the mean of its prompts' unit vectors, normalised again.

    The prompts of a class are the templates with its name in place of {}, or descriptions of its
    own. Texts are truncated to the length that the model takes, with a warning in the log.
    Everything is computed in float32, whatever the model's precision.

    Args:
        output: text cache: ``features`` float32 ``[C, D]``, table ``classes``, and the scale and
            bias that turn cosines into the model's logits.
        model: the CLIP model: ``name``, ``architecture`` (a name of open_clip,
            hf-hub:org/name or local-dir:folder), ``pretrained`` (a tag, the path of a checkpoint
            or embedded), ``force_quick_gelu``, ``precision``, ``image_size``.
        class_names: C names, as they are used in a sentence.
        templates: sentences with {} in place of the name; empty with prompts.
        prompts: C lists of descriptions in the order of the names, instead of templates.
        device: as of embed-images.

    Raises:
        LpclipError: a model that cannot be loaded; both templates and prompts, or neither; not one
            list of prompts per class; classes with the same text features.
    """
    if bool(templates) == bool(prompts):
        raise LpclipError("lpclip embed-text needs either 'templates' or 'prompts'.")
    texts = prompts or [[text.replace("{}", name) for text in templates] for name in class_names]
    if len(texts) != len(class_names) or not all(texts):
        raise LpclipError(
            f"lpclip embed-text: {len(texts)} lists of prompts for {len(class_names)} class names; "
            "each class needs one, and none may be empty."
        )
    loaded = load_model(model, device=device)
    features = text_features(loaded, texts, names=class_names)
    check_distinct(
        features,
        class_names,
        where=f"model '{model.name}'",
        reason=lambda first, second: _why_same(loaded, texts[first], texts[second]),
    )
    provenance = {
        **loaded.provenance,
        "precision": "fp32",
        **_stored_texts(templates, prompts),
        "scale": loaded.scale,
        "bias": loaded.bias,
    }
    write_text(output, features=features, class_names=class_names, provenance=provenance)
    log.info("embedded %d class names with %d texts", len(texts), sum(map(len, texts)))


def _stored_texts(templates: Sequence[str], prompts: Sequence[Sequence[str]]) -> dict[str, str]:
    """Return the texts as an attribute; their hash if they are longer than an attribute may be."""
    text = json.dumps(list(prompts or templates))
    if len(text) > LONGEST_ATTRIBUTE:
        text = f"sha256 {sha256(text.encode()).hexdigest()}"
    return {"prompts" if prompts else "templates": text}


def text_features(
    model: Model, texts: Sequence[Sequence[str]], *, names: Sequence[str] = ()
) -> FloatArray:
    """Return a unit vector per class, ``[C, D]`` float32: the mean of its texts', normalised.

    As ``open_clip.build_zero_shot_classifier``, for any number of texts per class. Batches are
    encoded in parallel, each by one thread: with several threads per batch, the rounding, and so
    every later result, would depend on their number. Given the names of the classes, it warns of
    truncated texts.
    """
    flat = list(chain.from_iterable(texts))
    batches = [flat[start : start + _BATCH] for start in range(0, len(flat), _BATCH)]
    tokens = [model.tokenizer(batch) for batch in batches]
    if names:
        _warn_of_cut(model, texts, names, torch.cat(tokens))

    @torch.inference_mode()
    def encode(batch: Tensor) -> FloatArray:
        encoded = model.clip.encode_text(batch.to(model.device), normalize=True)
        array: FloatArray = encoded.float().cpu().numpy()
        return array

    workers = torch.get_num_threads() if model.device.type == "cpu" else 1
    with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        encoded = np.concatenate(list(pool.map(encode, tokens)))
    bounds = pairwise(accumulate(map(len, texts), initial=0))
    return normalise(np.stack([encoded[start:stop].mean(0) for start, stop in bounds]))


def _warn_of_cut(
    model: Model, texts: Sequence[Sequence[str]], names: Sequence[str], tokens: Tensor
) -> None:
    # Counting takes as long as tokenizing, so only texts that fill their row are counted; some
    # tokenizers end every row with one more token.
    empty = model.tokenizer([""])[0]
    full = (tokens[:, -2:] != empty[-2:]).any(dim=1).tolist()
    length = tokens.shape[1]
    of_class = ((name, text) for name, own in zip(names, texts, strict=True) for text in own)
    counted = [
        (name, text, token_count(model.tokenizer, text)) for name, text in compress(of_class, full)
    ]
    found = [each for each in counted if each[2] > length]
    warn_of_cut(found, where=f"model '{model.spec.name}'", length=length, total=len(full))


def token_count(tokenizer: Any, text: str) -> int:
    """Return the number of tokens of a text before truncation, with start and end tokens."""
    if isinstance(tokenizer, open_clip.SimpleTokenizer):
        return len(tokenizer.encode(text)) + 2
    # The other two wrap a tokenizer of transformers and preprocess the text in their own way.
    if isinstance(tokenizer, HFTokenizer):
        cleaned, framed = tokenizer.clean_fn(text), tokenizer.tokenizer_mode != "clips"
    else:
        cleaned, framed = canonicalize_text(basic_clean(text)), True
    numbers = tokenizer.tokenizer(cleaned, add_special_tokens=framed).input_ids
    return len(numbers) + (0 if framed else 3)


def _why_same(model: Model, first: Sequence[str], second: Sequence[str]) -> str:
    """Explain in a sentence why the prompts of two classes have the same features."""
    one, two = (model.tokenizer(list(texts)) for texts in (first, second))
    if not torch.equal(one, two):
        return f"Model '{model.spec.name}' does not distinguish their words. "
    counts = [token_count(model.tokenizer, text) for text in (*first, *second)]
    if max(counts) > one.shape[1]:
        return (
            f"Their prompts, of up to {max(counts)} tokens, are truncated to {one.shape[1]}, "
            "before they differ. "
        )
    same = f"'{first[0]}', '{second[0]}'"
    return f"The tokenizer maps their prompts to the same tokens ({same}). "
