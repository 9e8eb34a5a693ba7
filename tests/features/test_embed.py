"""The batch size of the encoder."""

from types import SimpleNamespace

import pytest
import torch

from lpclip.features.embed import automatic_batch_size


@pytest.mark.parametrize(
    ("device", "size", "expected"),
    [("cpu", 32, 256), ("cpu", 224, 32), ("cpu", 336, 16), ("cpu", 4000, 1), ("meta", 224, 256)],
)
def test_a_cpu_takes_as_many_images_as_its_caches_hold(device, size, expected):
    model = SimpleNamespace(device=torch.device(device), image_size=size)
    assert automatic_batch_size(model) == expected
