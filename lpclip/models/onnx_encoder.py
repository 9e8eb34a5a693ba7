"""A model's image encoder as nodes of an ONNX graph, from pixels of any size to features."""

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.models.onnx_graph import OPSET, Graph, require_onnx
from lpclip.models.onnx_resampling import add_resampling
from lpclip.models.weights import quiet

if TYPE_CHECKING:
    from lpclip.models.clip import Model

# A file of ONNX holds no more.
LARGEST_BYTES = 2**31 - 2**25


class _Encoder(torch.nn.Module):
    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.clip = clip

    def forward(self, pixels: Tensor) -> Tensor:
        features: Tensor = self.clip.encode_image(pixels)
        return features


def add_encoder(graph: Graph, images: str, model: "Model") -> str:
    """Add preprocessing and encoder.

    Args:
        graph: to add them to.
        images: uint8 ``[N, H, W, 3]``, RGB.
        model: on the CPU.

    Returns:
        Features as the encoder gives them, float32 ``[N, D]``.

    Raises:
        LpclipError: preprocessing that is no resize and crop, more weights than a file holds, or an
            encoder that PyTorch cannot export.
    """
    resampling = model.resampling
    if resampling is None:
        raise LpclipError(
            f"Model '{model.spec.name}' prepares images in a way that cannot be part of an ONNX "
            f"file ({model.preprocessing}). Export the head alone, without --with-encoder."
        )
    n_bytes = sum(4 * one.numel() for one in model.clip.visual.state_dict().values())
    if n_bytes > LARGEST_BYTES:
        raise LpclipError(
            f"The image encoder of model '{model.spec.name}' takes {n_bytes / 1e9:.1f} GB, more "
            "than the 2 GB of an ONNX file. Export the head alone, without --with-encoder."
        )
    values = add_resampling(graph, images, resampling)
    unit = graph.add("Div", values, graph.constant(255, "float32"))
    mean, std = ([[[one]] for one in of_channel] for of_channel in (model.mean, model.std))
    centred = graph.add("Sub", unit, graph.constant(mean, "float32"))
    pixels = graph.add("Div", centred, graph.constant(std, "float32"))
    return graph.include(_exported(model, resampling.crop), pixels, "encoder/")


@contextmanager
def _no_fused_attention() -> Iterator[None]:
    """Compute attention from its parts: ONNX has no operator for PyTorch's fused one."""
    was_enabled = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_enabled)


def _exported(model: "Model", size: tuple[int, int]) -> Any:
    """Return the encoder as ONNX, for any number of images."""
    onnx = require_onnx()
    encoder = _Encoder(model.clip).eval()
    # The exporter warns of itself, and prints graphs when it fails.
    with (
        TemporaryDirectory() as folder,
        quiet(),
        redirect_stdout(io.StringIO()),
        _no_fused_attention(),
    ):
        path = Path(folder) / "encoder.onnx"
        try:
            torch.onnx.export(
                encoder,
                (torch.zeros(2, 3, *size),),
                path,
                input_names=["pixels"],
                output_names=["features"],
                dynamic_axes={"pixels": {0: "N"}, "features": {0: "N"}},
                opset_version=OPSET,
                dynamo=False,  # the other exporter needs one more package
            )
        except Exception as error:  # the exporter raises many types
            reason = " ".join(str(error).split())[:200]
            raise LpclipError(
                f"PyTorch cannot export the image encoder of model '{model.spec.name}' to ONNX "
                f"({reason}). Export the head alone, without --with-encoder."
            ) from error
        return onnx.load(path)
