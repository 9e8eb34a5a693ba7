"""Effective robustness, checked against the published fits and accuracies."""

import math

import numpy as np
import pytest

from lpclip.metrics.effective import FITS, effective_robustness


@pytest.mark.parametrize("shift", FITS)
@pytest.mark.parametrize("clean", [0.01, 0.5, 0.633, 0.99])
def test_it_is_what_the_fit_in_logits_leaves(shift, clean):
    a, b = FITS[shift]
    odds = math.exp(b) * (clean / (1 - clean)) ** a
    for accuracy in (0.0, 0.4, 1.0):
        ours = effective_robustness(shift, accuracy, clean_accuracy=clean)
        assert ours == pytest.approx(accuracy - odds / (1 + odds), abs=1e-12)


# Top-1 on ImageNet-Sketch and on ImageNet of torchvision's weights: huggingface's
# pytorch-image-models, results/results-sketch.csv.
@pytest.mark.parametrize(
    ("sketch", "clean"),
    [
        pytest.param(0.26819, 0.75900, id="densenet169"),
        pytest.param(0.26966, 0.77376, id="resnet101"),
        pytest.param(0.27554, 0.77434, id="inception_v3"),
        pytest.param(0.28543, 0.78322, id="resnet152"),
    ],
)
def test_standard_models_have_next_to_none_and_zero_shot_clip_has_much(sketch, clean):
    assert abs(effective_robustness("imagenet_sketch", sketch, clean_accuracy=clean)) < 0.03
    # ViT-B/32 with OpenAI's weights.
    assert effective_robustness("imagenet_sketch", 0.423, clean_accuracy=0.633) > 0.25


def test_the_ends_of_the_range_are_defined():
    assert effective_robustness("imagenet_v2", 1.0, clean_accuracy=1.0) == 0.0
    assert effective_robustness("imagenet_v2", 0.0, clean_accuracy=0.0) == 0.0
    assert np.isnan(effective_robustness("imagenet_v2", float("nan"), clean_accuracy=0.5))
    assert np.isnan(effective_robustness("imagenet_v2", 0.5, clean_accuracy=float("nan")))


def test_unknown_shifts_and_percentages_are_refused():
    with pytest.raises(ValueError, match=r"No fit .* Did you mean 'imagenet_v2'\?"):
        effective_robustness("imagenet-v2", 0.5, clean_accuracy=0.6)
    with pytest.raises(ValueError, match=r"fractions in \[0, 1\], got 63.3"):
        effective_robustness("imagenet_v2", 0.559, clean_accuracy=63.3)
