"""Text features of the class names: the weights of the zero-shot head."""

import json
import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from itertools import accumulate, chain, pairwise
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

    The prompts of a class are the templates with its name in the place of {}, or descriptions of
    its own. A text is cut at the length that the model takes, of which the log warns. All is
    computed in float32, whatever the model's precision.

    Args:
        output: text cache: ``features`` float32 ``[C, D]``, table ``classes``, and the scale and
            bias that turn cosines into the model's logits.
        model: the CLIP model: ``name``, ``architecture`` (a name that open_clip knows,
            hf-hub:org/name or local-dir:folder), ``pretrained`` (a tag, the path of a checkpoint
            or embedded), ``force_quick_gelu``, ``precision``, ``image_size``.
        class_names: C names, as they stand in a sentence.
        templates: sentences with {} in the place of the name; empty where there are prompts.
        prompts: C lists of descriptions, in the order of the names, instead of templates.
        device: auto, or a name that torch knows.

    Raises:
        LpclipError: a model that cannot be loaded, both templates and prompts or neither, not one
            list of prompts per class, or classes that have the same text features.
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
    where = f"model '{model.name}'"
    features = text_features(loaded, texts, names=class_names)

    def reason(first: int, second: int) -> str:
        return _why_same(loaded, texts[first], texts[second])

    check_distinct(features, class_names, where=where, reason=reason)
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
    """The texts as an attribute, which holds 64 KB; of more, their hash."""
    text = json.dumps(list(prompts or templates))
    if len(text) > LONGEST_ATTRIBUTE:
        text = f"sha256 {sha256(text.encode()).hexdigest()}"
    return {"prompts" if prompts else "templates": text}


def text_features(
    model: Model, texts: Sequence[Sequence[str]], *, names: Sequence[str] = ()
) -> FloatArray:
    """Unit vectors ``[C, D]`` float32: per class the mean of its texts' unit vectors, normalised.

    As ``open_clip.build_zero_shot_classifier``, for any number of texts per class. Batches are
    encoded side by side, each by one thread: the rounding, and so every later result, would
    depend on the number of threads that share a batch.

    Args:
        model: encodes them.
        texts: C lists.
        names: of the C classes, for a warning of texts that are cut; none without them.
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
    # Counting takes as long as tokenizing: only texts that fill their row, but for one token, which
    # of some tokenizers ends all rows, can be cut.
    empty = model.tokenizer([""])[0]
    full = (tokens[:, -2:] != empty[-2:]).any(dim=1).tolist()
    length = tokens.shape[1]
    of_class = chain.from_iterable(
        [(name, text) for text in own] for name, own in zip(names, texts, strict=True)
    )
    counted = [
        (name, text, token_count(model.tokenizer, text))
        for (name, text), is_full in zip(of_class, full, strict=True)
        if is_full
    ]
    found = [each for each in counted if each[2] > length]
    warn_of_cut(found, where=f"model '{model.spec.name}'", length=length, total=len(full))


def token_count(tokenizer: Any, text: str) -> int:
    """Tokens of a text, with those that begin and end it, if none were cut off.

    Args:
        tokenizer: any of open_clip's.
        text: one text.
    """
    if isinstance(tokenizer, open_clip.SimpleTokenizer):
        return len(tokenizer.encode(text)) + 2
    # Both others wrap one of transformers', which they give the text in their own way.
    if isinstance(tokenizer, HFTokenizer):
        cleaned, framed = tokenizer.clean_fn(text), tokenizer.tokenizer_mode != "clips"
    else:
        cleaned, framed = canonicalize_text(basic_clean(text)), True
    numbers = tokenizer.tokenizer(cleaned, add_special_tokens=framed).input_ids
    return len(numbers) + (0 if framed else 3)


def _why_same(model: Model, first: Sequence[str], second: Sequence[str]) -> str:
    """A sentence on why the prompts of two classes have the same features."""
    one, two = (model.tokenizer(list(texts)) for texts in (first, second))
    if not torch.equal(one, two):
        return f"Model '{model.spec.name}' takes their words for the same: it never learned them. "
    counts = [token_count(model.tokenizer, text) for text in (*first, *second)]
    if max(counts) > one.shape[1]:
        return (
            f"Their prompts, of up to {max(counts)} tokens, are cut off at {one.shape[1]}, before "
            "they differ. "
        )
    return f"To the model's tokenizer their prompts are alike ('{first[0]}', '{second[0]}'). "
