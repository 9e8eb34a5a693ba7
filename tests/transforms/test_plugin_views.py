"""Views of plugins: the same whatever the batch, cut to the range of images, or refused."""

import pytest
import torch

from lpclip.errors import LpclipError
from lpclip.transforms.views.policies import VIEW_KINDS, Strong, View, by_plugin
from lpclip.utils import plugins
from lpclip.utils.rng import keys
from lpclip.utils.settings import build
from tests.helpers.plugged import FADE, no_plugins

IDS = ["a", "b", "c"]


@pytest.fixture
def use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text=FADE, name="fade.py"):
        (tmp_path / name).write_text(text)
        plugins.use([name])

    with no_plugins():
        yield write


def viewed(images, ids=IDS, version=0, **settings):
    given = {"made_by": {"kind": "fade", **settings}}
    made_by = build(Strong, given, where="view 'strong'").made_by
    return by_plugin(images, keys(0, ids, f"strong/{version}"), made_by=made_by)


def test_a_view_follows_its_settings_and_the_keys_of_the_images(use):
    use()
    images = torch.ones(3, 3, 4, 4)
    found = viewed(images, least=0.25)
    levels = found[:, 0, 0, 0]
    assert len(set(levels.tolist())) == 3
    assert ((levels >= 0.25) & (levels < 1)).all()
    assert torch.equal(found[1:2], viewed(images[1:2], IDS[1:2], least=0.25))
    assert not torch.equal(found, viewed(images, version=1, least=0.25))
    assert torch.equal(images, torch.ones(3, 3, 4, 4))


def test_a_view_is_cut_to_the_range_of_images(use):
    use(FADE.replace("return images *", "return 3 - 5 * images *"))
    found = viewed(torch.ones(3, 3, 4, 4))
    assert found.min() >= 0
    assert found.max() <= 1


@pytest.mark.parametrize("returned", ["images[:1]", "images.half()", "images / 0", "None"])
def test_what_is_not_such_images_is_refused(use, returned):
    use(FADE.replace("return images *", f"return {returned}  # "))
    with pytest.raises(LpclipError, match="view 'fade' gives no finite float32 images of the sha"):
        viewed(torch.ones(3, 3, 4, 4))


def test_kinds_and_settings_are_checked_and_names_of_lpclip_s_refused(use):
    use()
    with pytest.raises(LpclipError, match=r"view 'strong': made_by\.least is 2; allowed"):
        viewed(torch.ones(3, 3, 4, 4), least=2)
    with pytest.raises(LpclipError, match=r"made_by\.kind is 'fad', which no plugin adds"):
        build(Strong, {"made_by": {"kind": "fad"}}, where="view 'strong'")
    assert View("fade", {}).code == "fade.py"
    use(name="weak.py")
    with pytest.raises(LpclipError, match=r"weak\.py adds the view 'weak', which lpclip has"):
        VIEW_KINDS.names()
