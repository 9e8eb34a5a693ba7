"""Whether a model's weights are on this machine, and random ones to measure its speed without."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lpclip.errors import LpclipError
from lpclip.models.spec import EMBEDDED, FOLDER, HUB, ModelSpec

Spec = TypeVar("Spec", bound=ModelSpec)


def check_tag(spec: ModelSpec) -> None:
    """Refuse a pretrained tag that open_clip does not have for the architecture."""
    from lpclip.models.published import check_weights, published

    if spec.pretrained != EMBEDDED and not spec.architecture.startswith((HUB, FOLDER)):
        check_weights(spec, published(spec.architecture))


def are_here(spec: ModelSpec) -> bool:
    """Return whether a model can be loaded without a download."""
    from huggingface_hub import try_to_load_from_cache

    from lpclip.models.hub import hub_files

    if spec.pretrained == EMBEDDED or spec.architecture.startswith(FOLDER):
        return True
    return all(
        any(isinstance(try_to_load_from_cache(repository, name), str) for name in names)
        for repository, names in hub_files(spec)
    )


def random_weights(spec: Spec, folder: Path) -> Spec:
    """Return the same architecture with random weights in a file: as fast as with its own.

    Raises:
        LpclipError: the architecture cannot be built without a download.
    """
    import open_clip
    from safetensors.torch import save_file

    from lpclip.models.weights import quiet

    if spec.architecture.startswith(HUB):
        raise LpclipError("its architecture is not known before it is downloaded")
    try:
        with quiet():
            clip = open_clip.create_model(spec.architecture)
    except Exception as error:  # types of several libraries, for parts that have to be downloaded
        raise LpclipError("it cannot be built before all of it is downloaded") from error
    path = folder / "random.safetensors"
    save_file({name: one.contiguous() for name, one in clip.state_dict().items()}, path)
    return replace(
        spec, pretrained=str(path), force_quick_gelu=bool(spec.force_quick_gelu), image_size=None
    )


def image_side(spec: ModelSpec) -> int:
    """Return the height of the images that a model takes, as far as is known without loading it."""
    import open_clip

    known = not spec.architecture.startswith((HUB, FOLDER))
    config = (open_clip.get_model_config(spec.architecture) if known else None) or {}
    side = spec.image_size or config.get("vision_cfg", {}).get("image_size", 224)
    return int(max(side) if isinstance(side, list | tuple) else side)


@contextmanager
def without_downloads() -> Iterator[None]:
    """Let the hub's client use what is on this machine only."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
