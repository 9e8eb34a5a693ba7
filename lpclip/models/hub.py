"""Weights and tokenizers from the Hugging Face hub or its cache, and what is missing there."""

import logging
from importlib.util import find_spec
from typing import Any

import open_clip
from huggingface_hub import constants, try_to_load_from_cache
from huggingface_hub.utils._http import get_session
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME

from lpclip.errors import LpclipError
from lpclip.models import transformers_clip
from lpclip.models.spec import FOLDER, HUB, ModelSpec

log = logging.getLogger(__name__)

CONFIGURATION = "open_clip_config.json"
# Without a network, the hub's client waits 24 seconds per file before it uses a local copy.
_SECONDS_TO_ANSWER = 5


def look_for_hub() -> None:
    """If the hub does not respond, make its client use local copies at once."""
    if not constants.HF_HUB_OFFLINE:
        try:
            get_session().head(constants.ENDPOINT, timeout=_SECONDS_TO_ANSWER)
        except Exception as error:  # types of several libraries
            log.info("the hub %s does not respond (%s)", constants.ENDPOINT, error)
            constants.HF_HUB_OFFLINE = True


def is_tag(spec: ModelSpec) -> bool:
    """Whether the pretrained weights are a tag of open_clip."""
    return bool(open_clip.is_pretrained_cfg(spec.architecture, spec.pretrained))


def hub_files(spec: ModelSpec) -> list[tuple[str, tuple[str, ...]]]:
    """Return the files needed from the hub: repository and alternative file names of each."""
    files: list[tuple[str, tuple[str, ...]]] = []
    weights = (HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME)
    if spec.architecture.startswith(HUB):
        repository = spec.architecture.removeprefix(HUB)
        return [(repository, (CONFIGURATION,)), (repository, weights)]
    if spec.architecture.startswith(FOLDER) and transformers_clip.folder_of(spec.architecture):
        return []
    if is_tag(spec):
        settings = open_clip.get_pretrained_cfg(spec.architecture, spec.pretrained)
        repository, _, name = settings["hf_hub"].rpartition("/")
        files.append((repository, (name,) if name else weights))
    config = open_clip.get_model_config(spec.architecture) or {}
    if text_encoder := config.get("text_cfg", {}).get("hf_model_name"):
        files.append((text_encoder, ("config.json",)))
    return files


def missing_on_hub(spec: ModelSpec) -> str:
    """Describe what is missing in the hub's cache; empty if nothing is or the hub is online."""
    if not constants.HF_HUB_OFFLINE:
        return ""
    missing = [
        (repository, names[0])
        for repository, names in hub_files(spec)
        if not any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
    ]
    if not missing:
        return ""
    repository = missing[0][0]
    files = [name for where, name in missing if where == repository]
    what = f"'{spec.pretrained}' of {spec.architecture}"
    other = "give the path of a checkpoint as 'pretrained'"
    if spec.architecture.startswith(HUB):
        what = f"of {spec.architecture}"
        other = (
            "give a folder with these files, and the tokenizer's, as 'architecture: local-dir:…'"
        )
    elif files == ["config.json"]:
        other = f"take an architecture whose text encoder is not {repository}"
    return (
        f"the weights {what} need the file{'s' * (len(files) > 1)} {' and '.join(files)} of "
        f"{repository}, not in the local hub cache, and the hub cannot be reached: either put "
        f"into {constants.HF_HUB_CACHE} what is missing (where there is a network: "
        f"hf download {repository} {' '.join(files)}), or {other}."
    )


def tokenizer(spec: ModelSpec) -> Any:
    """Load the model's tokenizer, texts -> ids ``[B, L]``; LpclipError if it is not available."""
    config: Any = None
    try:
        if (folder := transformers_clip.folder_of(spec.architecture)) is not None:
            text = transformers_clip.open_clip_config(folder)["model_cfg"]["text_cfg"]
            return open_clip.SimpleTokenizer(context_length=text["context_length"])
        config = open_clip.get_model_config(spec.architecture)
        if "hf_tokenizer_name" in config["text_cfg"] and not spec.architecture.startswith(FOLDER):
            look_for_hub()
        return open_clip.get_tokenizer(spec.architecture)
    except Exception as error:
        place = spec.architecture.removeprefix(FOLDER).removeprefix(HUB)
        if not spec.architecture.startswith(FOLDER):
            place = (config or {}).get("text_cfg", {}).get("hf_tokenizer_name") or place
        raise LpclipError(
            f"Model '{spec.name}': {missing_extra(error) or _no_tokenizer(place, error)}"
        ) from error


def _no_tokenizer(place: str, error: Exception) -> str:
    text = " ".join(str(error).split())[:200]
    return (
        f"its tokenizer {place} cannot be loaded ({text}). Put it into the hub cache "
        f"{constants.HF_HUB_CACHE} (where there is a network: hf download {place} --include "
        "'*token*' --include '*.model' --include config.json), or give a folder with "
        "open_clip_config.json, weights and tokenizer as 'architecture: local-dir:…'."
    )


def missing_extra(error: Exception) -> str:
    """Name the extra to install, if it is missing; offline errors mention transformers, too."""
    text = str(error).lower()
    absent = isinstance(error, ImportError) or find_spec("transformers") is None
    if absent and ("transformers" in text or "sentencepiece" in text):
        return "its text encoder needs transformers. Run: pip install 'lpclip[transformers]'."
    return ""
