"""Views: reproducible, independent of the batch, and within the policy's limits."""

import subprocess
import sys

import pytest
import torch
from torch import Tensor

from lpclip.errors import LpclipError
from lpclip.transforms.corruptions import registry
from lpclip.transforms.views import operations
from lpclip.transforms.views.policies import OPERATIONS, POLICIES, strong, weak
from lpclip.utils import rng

IDS = [f"sample-{i}" for i in range(24)]


@pytest.fixture(scope="module")
def images() -> Tensor:
    y, x = torch.meshgrid(torch.arange(20.0), torch.arange(24.0), indexing="ij")
    phase = torch.arange(24.0)[:, None, None, None] / 4
    tint = torch.tensor([1.0, 0.8, 0.6])[:, None, None]
    return (0.5 + 0.5 * torch.sin(x / 3 + y / 5 + phase)) * tint


def keys() -> Tensor:
    return rng.keys(0, IDS, "strong/0")


def made(view: str, images: Tensor, ids: list[str], *, seed: int = 0, **options: str) -> Tensor:
    """A view as a pass makes it: of (seed, id, view) alone."""
    make = weak if view.startswith("weak") else strong
    return make(images, rng.keys(seed, ids, view), flips=("horizontal",), **options)


@pytest.mark.parametrize(
    ("view", "options"), [("weak/0", {}), *(("strong/0", {"policy": name}) for name in POLICIES)]
)
def test_views_do_not_depend_on_the_batch(images, view, options):
    whole = made(view, images, IDS, **options)
    assert whole.shape == images.shape
    assert whole.dtype == torch.float32
    assert 0 <= float(whole.min()) <= float(whole.max()) <= 1
    for rows in ([3], [20, 1, 7], list(range(5, 24)), []):
        part = made(view, images[rows], [IDS[i] for i in rows], **options)
        assert torch.equal(part, whole[rows])


@pytest.mark.parametrize("kind", ["weak", "strong"])
def test_versions_and_seeds_differ(images, kind):
    first = made(f"{kind}/0", images, IDS)
    for view in (made(f"{kind}/1", images, IDS), made(f"{kind}/0", images, IDS, seed=1)):
        assert ((view - first).abs().amax(dim=(1, 2, 3)) > 0.01).all()


def corner_bright(batch: Tensor) -> tuple[Tensor, Tensor]:
    """Return whether the left half is brighter, and whether the top half is."""
    rows, columns = batch.mean(dim=(1, 2)), batch.mean(dim=(1, 3))
    return rows[:, :10].mean(1) > rows[:, 10:].mean(1), columns[:, :10].mean(1) > columns[
        :, 10:
    ].mean(1)


@pytest.mark.parametrize("view", [weak, strong])
@pytest.mark.parametrize(
    ("flips", "left", "top"),
    [((), False, False), (("horizontal",), True, False), (("vertical",), False, True)],
)
def test_only_allowed_flips_happen(view, flips, left, top):
    images = torch.zeros(200, 3, 20, 20)
    images[:, :, :10, :10] = 0.4  # below all thresholds of solarise
    views = view(images, rng.keys(0, [str(i) for i in range(200)], "weak/0"), flips=flips)
    is_left, is_top = corner_bright(views)
    for stays, may_flip in ((is_left, left), (is_top, top)):
        share = float((~stays).float().mean())
        assert share > 0.3 if may_flip else share < 0.05


def test_a_weak_view_stays_close_to_the_image():
    ramp = torch.linspace(0, 1, 40).expand(24, 3, 40, 40)
    views = weak(ramp, keys())
    assert float((views - ramp).abs().max()) < 0.06 + 0.1 + 1 / 40
    assert float((views - ramp).abs().amax(dim=(1, 2, 3)).mean()) > 0.02


def test_the_disjoint_policy_shares_no_operation_with_the_corruptions():
    names = set(registry.STANDARD + registry.EXTRA)
    shared = {policy: set() for policy in POLICIES}
    for policy, chosen in POLICIES.items():
        for operation in chosen:
            assert set(OPERATIONS[operation]) <= names
            shared[policy] |= set(OPERATIONS[operation])
    assert shared["disjoint"] == set()
    assert {"gaussian_noise", "gaussian_blur", "brightness", "contrast"} <= shared["overlapping"]
    assert set(OPERATIONS) == set(operations.GEOMETRY) | set(operations.PIXELS)


@pytest.mark.parametrize("name", OPERATIONS)
def test_geometry_leaves_one_colour_alone_and_the_overlapping_operations_do_not(name):
    flat = torch.full((24, 3, 20, 24), 0.4)
    result = operations.apply(flat, [name], torch.zeros(24).long(), rng.Stream(keys()))
    change = float((result - flat).abs().amax())
    if name in operations.GEOMETRY or name in ("equalise", "solarise", "blur"):
        assert change < 1e-6
    else:
        assert change > 0.01


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_operation_changes_a_picture_and_only_the_chosen_ones(images, name):
    chosen = torch.arange(24) % 2 - 1
    result = operations.apply(images, [name], chosen, rng.Stream(keys()))
    change = (result - images).abs().amax(dim=(1, 2, 3))
    assert (change[chosen < 0] == 0).all()
    assert float((change[chosen == 0] > 0.005).float().mean()) > 0.8
    assert 0 <= float(result.min()) <= float(result.max()) <= 1


def test_equalise_equals_pillow(images):
    from PIL import Image, ImageOps

    levels = (images * 255).round().byte()
    result = operations.equalise(levels.float() / 255, rng.Stream(keys()))
    for image, mine in zip(levels[:5], result, strict=False):
        reference = ImageOps.equalize(Image.fromarray(image.permute(1, 2, 0).numpy()))
        expected = torch.tensor(list(reference.tobytes())).reshape(20, 24, 3).permute(2, 0, 1)
        assert torch.equal((mine * 255).round().long(), expected)


def test_rotation_turns_about_the_centre_also_where_the_image_is_not_square():
    image = torch.zeros(1, 1, 21, 41)
    image[..., 10, 30] = 1
    quarter = operations.warp(image, torch.tensor([[0.0, -21 / 41, 0, 41 / 21, 0, 0]]))
    assert float(quarter[0, 0, 0, 20] + quarter[0, 0, 20, 20]) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("view", "options", "text"),
    [
        (strong, {"policy": "disjiont"}, "Did you mean 'disjoint'"),
        (weak, {"flips": ("horizontl",)}, "Did you mean 'horizontal'"),
    ],
)
def test_mistakes_are_named(images, view, options, text):
    with pytest.raises(LpclipError, match=text):
        view(images, keys(), **options)


def test_names_are_read_without_torch():
    code = """import sys, lpclip.transforms.views.policies, lpclip.transforms.corruptions.registry
assert 'torch' not in sys.modules"""
    subprocess.run([sys.executable, "-c", code], check=True)
