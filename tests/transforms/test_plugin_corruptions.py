"""Corruptions of plugins: rounded like lpclip's own, the same whatever the batch, or refused."""

import pytest
import torch

from lpclip.errors import LpclipError
from lpclip.transforms.corruptions.registry import (
    CORRUPTION_KINDS,
    OfPlugin,
    checked_settings,
    corrupt_by,
)
from lpclip.utils import plugins
from lpclip.utils.rng import keys
from tests.helpers.plugged import STRIPES, no_plugins

IDS = ["a", "b", "c"]
VIEW = {"kind": "stripes", "settings": {"grey": 0.25}, "severities": [1, 3]}


@pytest.fixture
def use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text=STRIPES, name="stripes.py"):
        (tmp_path / name).write_text(text)
        plugins.use([name])

    with no_plugins():
        yield write


def images():
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, 3, 20, 8), dtype=torch.uint8, generator=generator)


def corrupted(pixels, ids=IDS, severity=3):
    view = checked_settings("mine", VIEW, where="view 'mine'")
    return corrupt_by(
        pixels,
        kind=view.kind,
        settings=view.settings,
        severity=severity,
        keys=keys(0, ids, f"mine/{severity}"),
    )


def test_images_are_changed_by_their_own_keys_and_stay_images_of_8_bits(use):
    use()
    clean = images()
    found = corrupted(clean)
    assert found.dtype == torch.uint8
    changed = (found != clean).any(dim=1)
    assert 0.1 < changed.float().mean() < 0.6
    assert (found[(found != clean)] == 63).all()  # 0.25 of 255, rounded down
    assert torch.equal(found[1:2], corrupted(clean[1:2], IDS[1:2]))
    assert torch.equal(found, (corrupted(clean.float() / 255) * 255).round().byte())
    assert torch.equal(clean, images())


@pytest.mark.parametrize(
    "returned", ["images[:1]", "images.double()", "images * float('nan')", "3", "images[..., 1:]"]
)
def test_what_is_not_such_images_is_refused(use, returned):
    use(STRIPES.replace("return images.masked_fill(hidden, settings.grey)", f"return {returned}"))
    with pytest.raises(LpclipError, match="corruption 'stripes' gives no finite float32 images"):
        corrupted(images())


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "strpes"}, r"No plugin adds the corruption 'strpes'\. Did you mean 'stripes'"),
        ({"settings": {"gray": 0.5}}, r"has no setting 'gray'\. Did you mean 'grey'"),
        ({"severities": [6]}, "severities"),
        ({"parameters": "cifar"}, "has no setting 'parameters'"),
    ],
)
def test_settings_of_a_view_are_checked(use, changes, sentence):
    use()
    assert isinstance(checked_settings("mine", VIEW, where="view 'mine'"), OfPlugin)
    with pytest.raises(LpclipError, match=sentence):
        checked_settings("mine", VIEW | changes, where="view 'mine'")


def test_the_name_of_one_of_lpclip_s_corruptions_is_refused(use):
    use(name="frost.py")
    with pytest.raises(LpclipError, match=r"frost\.py adds the corruption 'frost', which lpclip"):
        CORRUPTION_KINDS.names()
