"""One ONNX file from the pixels of images to class, probability and OOD score, and its check."""

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.special import softmax

from lpclip.errors import LpclipError
from lpclip.models.onnx_graph import IR, OPSET, Graph, require_onnx
from lpclip.storage.features import normalise
from lpclip.storage.probe import Probe
from lpclip.storage.probes import HALF_WAY, between
from lpclip.types import FloatArray

if TYPE_CHECKING:
    from lpclip.models.clip import Model

log = logging.getLogger(__name__)

# Largest difference of a probability from ``lpclip predict``; of a score, per unit of the scale.
TOLERANCE = 1e-3
OUTPUTS = ("class_index", "confidence", "half_way_max_logit", "probabilities")


def classifier(
    probe: Probe, zero_shot: Probe, model: "Model", about: Mapping[str, Any]
) -> tuple[bytes, str]:
    """Build the file, and compare it with ``lpclip predict`` on odd images.

    Its input is ``images``, RGB uint8 ``[N, H, W, 3]``; its outputs are ``class_index`` int64
    ``[N]``, ``confidence`` ``[N]``, ``half_way_max_logit`` ``[N]`` and ``probabilities``
    ``[N, C]``, float32.

    Args:
        probe: the head.
        zero_shot: round 0 of the same seed, for the OOD score.
        model: its encoder, on the CPU.
        about: what the file keeps on its origin.

    Returns:
        The file, and the version of onnxruntime that it was checked with; empty if it is not
        installed.

    Raises:
        LpclipError: onnx is not installed, the encoder cannot be exported, or the file gives other
            probabilities.
    """
    content = _file(probe, zero_shot, model, about)
    try:
        import onnxruntime
    except ImportError:
        log.warning("not checked, since onnxruntime is missing; pip install 'lpclip[onnx]'")
        return content, ""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # no advice on the graph
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    _check(session, probe, zero_shot, model)
    return content, version("onnxruntime")


def _file(probe: Probe, zero_shot: Probe, model: "Model", about: Mapping[str, Any]) -> bytes:
    onnx = require_onnx()
    # PyTorch, which the export of a head alone does not need.
    from lpclip.models.onnx_encoder import add_encoder

    graph = Graph()
    features = add_encoder(graph, "images", model)
    # As caches hold them.
    features = graph.cast(graph.cast(features, "float16"), "float32")
    axis = graph.constant([1], "int64")
    length = graph.add("ReduceL2", features, axis, keepdims=1)
    smallest = graph.constant(np.finfo(np.float32).tiny, "float32")
    unit = graph.add("Div", features, graph.add("Max", length, smallest))

    def logits(weight: FloatArray, bias: FloatArray) -> str:
        constants = graph.constant(weight, "float32"), graph.constant(bias, "float32")
        return graph.add("Gemm", unit, *constants, alpha=probe.scale, transB=1)

    own = logits(probe.weight, probe.bias)
    graph.add("ArgMax", own, axis=1, keepdims=0, output="class_index")
    graph.add("Softmax", own, axis=1, output="probabilities")
    graph.add("ReduceMax", "probabilities", axis, keepdims=0, output="confidence")
    half_way = logits(*_half_way(probe, zero_shot))
    graph.add("ReduceMax", half_way, axis, keepdims=0, output="half_way_max_logit")
    value, types = onnx.helper.make_tensor_value_info, onnx.TensorProto
    shapes = {"probabilities": ["N", len(probe.class_names)]}
    made = onnx.helper.make_graph(
        graph.nodes,
        "classifier",
        [value("images", types.UINT8, ["N", "H", "W", 3])],
        [
            value(
                name, types.INT64 if name == "class_index" else types.FLOAT, shapes.get(name, ["N"])
            )
            for name in OUTPUTS
        ],
        graph.constants,
    )
    file = onnx.helper.make_model(
        made,
        producer_name="lpclip",
        ir_version=IR,
        opset_imports=[onnx.helper.make_opsetid("", OPSET)],
    )
    text = json.dumps(about, ensure_ascii=False, sort_keys=True)
    onnx.helper.set_model_props(file, {"head": text})
    onnx.checker.check_model(file)
    content: bytes = file.SerializeToString(deterministic=True)
    return content


def _half_way(probe: Probe, zero_shot: Probe) -> tuple[FloatArray, FloatArray]:
    return (
        between(zero_shot.weight, probe.weight, HALF_WAY),
        between(zero_shot.bias, probe.bias, HALF_WAY),
    )


def odd_images(size: int) -> Iterator[npt.NDArray[np.uint8]]:
    """Yield images of one pixel, very wide and tall, tiny, large, grey and empty ones.

    They are uint8 ``[H, W, 3]``, for a model that takes images of this size.
    """
    generator = np.random.default_rng(0)
    shapes = [(1, 1), (1, 150), (150, 1), (2, 3), (size, size), (size + 1, size - 1)]
    shapes += [(480, 640), (40, 2000), (2000, 40), (1500, 2000), (6 * size, 2 * size)]
    for height, width in shapes:
        yield generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        # Smooth, as photographs mostly are.
        down, along = np.mgrid[:height, :width].astype(float)
        waves = [np.sin(down / 37 + place) * np.cos(along / 23 - place) for place in range(3)]
        yield np.round(127.5 + 127 * np.stack(waves, axis=-1)).astype(np.uint8)
    grey = generator.integers(0, 256, (100, 130, 1), dtype=np.uint8)
    yield np.repeat(grey, 3, axis=-1)
    yield np.full((50, 60, 3), 255, dtype=np.uint8)
    yield np.zeros((60, 50, 3), dtype=np.uint8)


def _check(session: Any, probe: Probe, zero_shot: Probe, model: "Model") -> None:
    """Compare the file with what ``lpclip predict`` computes.

    Raises:
        LpclipError: a probability differs by more than the tolerance, or a score.
    """
    worst, worst_score = 0.0, 0.0
    for images in (*([one] for one in odd_images(model.image_size)), _batch(model.image_size)):
        found = dict(zip(OUTPUTS, session.run(OUTPUTS, {"images": np.stack(images)}), strict=True))
        probabilities, score = _expected(images, probe, zero_shot, model)
        worst = max(worst, float(np.abs(found["probabilities"] - probabilities).max()))
        worst_score = max(worst_score, float(np.abs(found["half_way_max_logit"] - score).max()))
    log.info("probabilities differ by at most %.2g, scores by %.2g", worst, worst_score)
    if not (worst <= TOLERANCE and worst_score <= TOLERANCE * max(1.0, probe.scale)):
        raise LpclipError(
            f"The ONNX file gives probabilities that differ by up to {worst:.2g} from those of "
            f"lpclip predict, and scores by {worst_score:.2g}, so it was not written. Export the "
            "head alone, without --with-encoder, and report this."
        )


def _batch(size: int) -> Sequence[npt.NDArray[np.uint8]]:
    generator = np.random.default_rng(1)
    return list(generator.integers(0, 256, (3, size + 9, size + 30, 3), dtype=np.uint8))


def _expected(
    images: Sequence[npt.NDArray[np.uint8]], probe: Probe, zero_shot: Probe, model: "Model"
) -> tuple[FloatArray, FloatArray]:
    """Return probabilities ``[N, C]`` and scores ``[N]``, as ``lpclip predict``."""
    import torch

    pixels = torch.stack([model.to_pixels(Image.fromarray(image)) for image in images])
    unit = normalise(model.embed(pixels).half().float().numpy())
    logits = probe.scale * (unit @ probe.weight.T) + probe.bias
    weight, bias = _half_way(probe, zero_shot)
    score: FloatArray = (probe.scale * (unit @ weight.T) + bias).max(axis=1)
    probabilities: FloatArray = softmax(logits.astype(np.float64), axis=1)
    return probabilities, score
