"""Images are resized in ONNX graphs as Pillow resizes them."""

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from PIL import Image
from torchvision.transforms import CenterCrop, InterpolationMode, Resize

from lpclip.models.onnx_graph import IR, OPSET, Graph
from lpclip.models.onnx_resampling import add_resampling
from lpclip.models.resampling import Resampling

BICUBIC, BILINEAR = InterpolationMode.BICUBIC, InterpolationMode.BILINEAR
WAYS = {
    "shortest": Resampling(32, (32, 32), BICUBIC),
    "larger": Resampling(70, (64, 64), BICUBIC),
    "squash": Resampling((40, 24), (40, 24), BICUBIC),
    "bilinear": Resampling(32, (32, 32), BILINEAR),
}
SIZES = [(1, 1), (1, 90), (90, 1), (2, 3), (32, 32), (33, 31), (48, 480), (300, 200), (64, 1500)]
# Of these Pillow resizes the height first: it shrinks by more than twice as much as the width.
TALL = [(150, 40), (1500, 64), (700, 33), (4000, 36), (97, 65), (96, 64)]


def session(resampling):
    graph = Graph()
    made = add_resampling(graph, "images", resampling)
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "resize",
            [helper.make_tensor_value_info("images", TensorProto.UINT8, ["N", "H", "W", 3])],
            [helper.make_tensor_value_info(made, TensorProto.FLOAT, ["N", 3, *resampling.crop])],
            graph.constants,
        ),
        ir_version=IR,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    onnx.checker.check_model(model, full_check=True)
    return onnxruntime.InferenceSession(model.SerializeToString())


@pytest.mark.parametrize("way", WAYS)
def test_images_of_any_size_are_resized_and_cropped_as_by_pillow(way):
    resampling = WAYS[way]
    graph = session(resampling)
    resize = resampling.resize if isinstance(resampling.resize, int) else list(resampling.resize)
    steps = Resize(resize, resampling.filter), CenterCrop(resampling.crop)
    rng = np.random.default_rng(0)
    for size in (*SIZES, *TALL):
        images = rng.integers(0, 256, (2, *size, 3), dtype=np.uint8)
        found = graph.run(None, {"images": images})[0].transpose(0, 2, 3, 1)
        for image, one in zip(images, found, strict=True):
            wanted = Image.fromarray(image)
            for step in steps:
                wanted = step(wanted)
            off = np.abs(one - np.asarray(wanted))
            # Sums in single precision round a few values to the next level, of bilinear ones more,
            # since many are half-way between two.
            assert off.max() <= 1, size
            assert (off > 0).mean() < (0.05 if way == "bilinear" else 0.005), size
