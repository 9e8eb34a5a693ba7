"""Feature caches do not depend on batches, workers or interruptions."""

import logging
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.errors import LpclipError
from lpclip.features import embed, images
from lpclip.features.images import embed_images
from lpclip.models.clip import Model, load_model
from lpclip.models.spec import ModelSpec
from lpclip.storage.chunks import Parts
from lpclip.storage.features import views as names_of_views
from lpclip.storage.hdf5 import open_file, read_provenance
from lpclip.storage.samples import read_samples, write_samples
from tests.helpers.published_sets import write_imagenet_c

MODEL = ModelSpec("tiny", "lpclip-tiny", "embedded")
VIEWS = {
    "clean": {},
    "weak": {"versions": 2},
    "strong": {"versions": 1, "policy": "disjoint"},
    "contrast": {"severities": [1, 5]},
}
N = 20


@pytest.fixture(scope="module", autouse=True)
def small_chunks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(images, "CHUNK_ROWS", 8)
        patch.setattr(embed, "CHUNK_ROWS", 8)
        yield


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """Write a folder of digits."""
    root = tmp_path_factory.mktemp("images")
    digits = open_source("digits", {"split": "test"})
    for sample in digits.samples()[:N]:
        folder = root / str(sample.label)
        folder.mkdir(exist_ok=True)
        digits.read(sample.path).save(folder / f"{sample.id}.png")
    return {"kind": "folder", "root": str(root)}


@pytest.fixture(scope="module")
def samples(source, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "samples.h5"
    index_samples(output=path, dataset="d", source=source)
    return path


@pytest.fixture(scope="module")
def run(samples, source):
    def run(output, **more):
        arguments = {"source": source, "samples": samples, "views": VIEWS, "batch_size": 8, **more}
        embed_images(output=output, dataset="d", model=MODEL, device="cpu", **arguments)
        return output

    return run


@pytest.fixture(scope="module")
def undisturbed(run, tmp_path_factory):
    return run(tmp_path_factory.mktemp("undisturbed") / "f.h5")


def features(path):
    with open_file(path, kind="features") as file:
        return {
            name: file[f"features/{name}"][...].astype(np.float32) for name in names_of_views(file)
        }


def test_every_view_is_there_in_all_its_versions(undisturbed):
    shapes = {name: values.shape[:-1] for name, values in features(undisturbed).items()}
    assert shapes == {"clean": (N,), "weak": (2, N), "strong": (1, N), "contrast": (2, N)}
    weak = features(undisturbed)["weak"]
    assert not np.array_equal(weak[0], weak[1])


def test_clean_features_are_the_models_in_the_order_of_the_index(undisturbed, samples, source):
    model = load_model(MODEL, device="cpu")
    opened = open_source("folder", {"root": source["root"]})
    paths = read_samples(samples, labels=False)["path"]
    pixels = torch.stack([model.to_pixels(opened.read(path)) for path in paths])
    expected = model.embed(pixels).numpy()
    np.testing.assert_allclose(features(undisturbed)["clean"], expected, rtol=2e-3, atol=2e-3)


def test_workers_do_not_change_a_byte(undisturbed, run, tmp_path):
    assert run(tmp_path / "f.h5", workers=2).read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize("batch_size", [3, 64])
def test_the_batch_size_changes_no_more_than_rounding(undisturbed, run, tmp_path, batch_size):
    found = features(run(tmp_path / "f.h5", batch_size=batch_size))
    for name, values in features(undisturbed).items():
        scale = np.abs(values).max()
        np.testing.assert_allclose(found[name], values, rtol=2e-3, atol=2e-3 * scale)


def test_another_seed_changes_random_views_and_no_others(undisturbed, run, tmp_path):
    found, before = features(run(tmp_path / "f.h5", seed=1)), features(undisturbed)
    for name in ("clean", "contrast"):
        np.testing.assert_array_equal(found[name], before[name])
    for name in ("weak", "strong"):
        assert not np.array_equal(found[name], before[name])


def test_views_do_not_depend_on_which_others_are_made_with_them(undisturbed, run, tmp_path):
    alone = run(tmp_path / "f.h5", views={"weak": VIEWS["weak"]})
    with open_file(alone) as file:
        np.testing.assert_array_equal(
            file["features/weak"][...].astype(np.float32), features(undisturbed)["weak"]
        )


def interrupt(run, output, monkeypatch, *, after, **more):
    """Run with an encoder that fails after some chunks; return the number of chunks requested."""
    encode, calls = embed._encode, []

    def failing(*arguments, **options):
        calls.append(1)
        if len(calls) > after:
            raise RuntimeError("killed")
        return encode(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(embed, "_encode", failing)
        if after < 3:
            with pytest.raises(RuntimeError, match="killed"):
                run(output, **more)
        else:
            run(output, **more)
    return len(calls)


@pytest.mark.parametrize("after", [0, 1, 2])
def test_an_interrupted_run_continues_to_the_same_bytes(
    undisturbed, run, tmp_path, monkeypatch, after
):
    output = tmp_path / "f.h5"
    interrupt(run, output, monkeypatch, after=after)
    assert not output.exists()
    assert interrupt(run, output, monkeypatch, after=3) == 3 - after
    assert output.read_bytes() == undisturbed.read_bytes()
    assert list(tmp_path.iterdir()) == [output]


def truncate(part):
    os.truncate(part, part.stat().st_size // 2)


def flip_a_bit(part):
    data = bytearray(part.read_bytes())
    data[-300] ^= 1
    part.write_bytes(data)


def empty(part):
    part.write_bytes(b"")


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("damage", [truncate, flip_a_bit, empty, Path.unlink])
def test_of_finished_parts_one_that_is_damaged_is_made_again_and_no_other(
    undisturbed, run, tmp_path, monkeypatch, caplog, damage, number
):
    output = tmp_path / "f.h5"
    interrupt(run, output, monkeypatch, after=2)
    (part,) = tmp_path.glob(f".f.h5.*.parts/{number:08d}.npy")
    damage(part)
    assert interrupt(run, output, monkeypatch, after=3) == 2
    assert output.read_bytes() == undisturbed.read_bytes()
    said = f"{part} is damaged: its checksum differs."
    assert (said in caplog.text) == (damage is not Path.unlink)


def test_a_note_that_is_damaged_means_a_new_start_and_is_said(
    undisturbed, run, tmp_path, monkeypatch, caplog
):
    output = tmp_path / "f.h5"
    interrupt(run, output, monkeypatch, after=2)
    (note,) = tmp_path.glob(".f.h5.*.parts/identity.json")
    note.write_text(note.read_text()[:40])
    assert interrupt(run, output, monkeypatch, after=3) == 3
    assert "starting again, since it has no readable note" in caplog.text
    assert output.read_bytes() == undisturbed.read_bytes()


def test_a_part_that_is_damaged_after_it_was_checked_is_a_sentence(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    samples = pd.DataFrame({"id": list("abcdefgh"), "path": "x"})
    with Parts(folder, rows=[8], identity={}, batch_size=8) as parts:
        parts.add(np.ones((1, 8, 64), np.float16), batch_size=8)
        parts.wait()
        flip_a_bit(folder / "00000000.npy")
        with pytest.raises(LpclipError, match="Run the same command again"):
            parts.join(tmp_path / "f.h5", samples=samples, versions={"clean": 0}, provenance={})
    assert not (tmp_path / "f.h5").exists()


def limit_memory(monkeypatch, largest):
    """Limit the images that a device can hold at once; return the attempted batch sizes."""
    features, tried = Model.features, []

    def limited(self, pixels):
        tried.append(len(pixels))
        if len(pixels) > largest:
            raise torch.OutOfMemoryError("out of memory")
        return features(self, pixels)

    monkeypatch.setattr(Model, "features", limited)
    return tried


@pytest.mark.parametrize("batch_size", [8, "auto"])
def test_out_of_memory_halves_the_batch_until_it_fits(run, tmp_path, monkeypatch, batch_size):
    small = run(tmp_path / "small.h5", batch_size=2)
    tried = limit_memory(monkeypatch, 3)
    found = run(tmp_path / "f.h5", batch_size=batch_size)
    assert tried[:3] == [8, 4, 2]
    assert max(tried[3:]) == 2
    assert found.read_bytes() == small.read_bytes()


def test_a_run_that_went_on_with_less_memory_continues_with_as_little(run, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole.h5", batch_size=2)
    tried = limit_memory(monkeypatch, 3)
    # Two calls out of memory, two chunks, and the remainder.
    with pytest.raises(RuntimeError, match="killed"):
        interrupt(run, tmp_path / "f.h5", monkeypatch, after=4)
    tried.clear()
    assert run(tmp_path / "f.h5").read_bytes() == whole.read_bytes()
    assert max(tried) == 2


def test_one_image_that_does_not_fit_is_a_sentence(run, tmp_path, monkeypatch):
    limit_memory(monkeypatch, 0)
    with pytest.raises(LpclipError, match="cpu does not hold one image at a time"):
        run(tmp_path / "f.h5")


def test_log_and_timings_say_where_the_time_went(run, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="lpclip")
    run(tmp_path / "f.h5", timings=tmp_path / "f.timings.tsv")
    line = caplog.records[-1].getMessage()
    assert line.startswith(f"embed: {N} of {N} images, ")
    assert "; on cpu: " in line
    (figures,) = pd.read_csv(tmp_path / "f.timings.tsv", sep="\t").to_dict("records")
    assert (figures["images"], figures["device"]) == (N, "cpu")
    assert figures["images_per_second"] == pytest.approx(N / figures["seconds"], rel=0.01)
    parts = [figures[f"{on}_seconds"] for on in ("decode", "views", "encode", "write")]
    assert 0.5 * figures["seconds"] < sum(parts) <= figures["seconds"] + 0.01


def test_what_was_begun_with_other_settings_is_not_carried_on(
    undisturbed, run, tmp_path, monkeypatch, caplog
):
    output = tmp_path / "f.h5"
    interrupt(run, output, monkeypatch, after=2, seed=5)
    assert interrupt(run, output, monkeypatch, after=3) == 3
    assert "its parts were made with another seed" in caplog.text
    assert output.read_bytes() == undisturbed.read_bytes()


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("n_bad", [1, 3, 12])
def test_all_unreadable_images_are_named_at_once(run, source, tmp_path, workers, n_bad):
    root = tmp_path / "images"
    (root / "0").mkdir(parents=True)
    good = next(iter(sorted(Path(source["root"]).rglob("*.png")))).read_bytes()
    for number in range(20):
        bad = number >= 20 - n_bad
        (root / f"0/{number:02d}.png").write_bytes(good[:60] if bad else good)
    broken = {"kind": "folder", "root": str(root)}
    index_samples(output=tmp_path / "samples.h5", dataset="d", source=broken)
    with pytest.raises(LpclipError) as error:
        run(tmp_path / "f.h5", samples=tmp_path / "samples.h5", source=broken, workers=workers)
    text = str(error.value)
    assert "Traceback" not in text
    assert "set on_bad_image: skip for the dataset 'd'" in text
    named = [f"{root}/0/{number:02d}.png" for number in range(20) if f"{number:02d}.png" in text]
    assert named == [f"{root}/0/{number:02d}.png" for number in range(20 - n_bad, 20)][:10]
    if n_bad == 1:
        assert text.startswith(f"{root}/0/19.png cannot be read as an image (")
        assert "\n" not in text
    else:
        assert text.startswith(f"{n_bad} images cannot be read")
    assert not (tmp_path / "f.h5").exists()


def test_a_repaired_image_lets_the_same_command_go_on(run, source, tmp_path, monkeypatch):
    root = tmp_path / "images"
    (root / "0").mkdir(parents=True)
    good = next(iter(sorted(Path(source["root"]).rglob("*.png")))).read_bytes()
    for number in range(20):
        (root / f"0/{number:02d}.png").write_bytes(good)
    broken = {"kind": "folder", "root": str(root)}
    index_samples(output=tmp_path / "samples.h5", dataset="d", source=broken)
    options = {"samples": tmp_path / "samples.h5", "source": broken}
    (root / "0/10.png").write_bytes(good[:60])
    with pytest.raises(LpclipError, match=r"10\.png cannot be read"):
        run(tmp_path / "f.h5", **options)
    (root / "0/10.png").write_bytes(good)
    assert interrupt(run, tmp_path / "f.h5", monkeypatch, after=3, **options) == 2
    clean = features(tmp_path / "f.h5")["clean"]
    np.testing.assert_array_equal(clean, clean[:1].repeat(20, axis=0))


def test_labels_of_the_index_do_not_change_a_byte(undisturbed, run, samples, tmp_path):
    frame = read_samples(samples, labels=True)
    frame["label"] = frame["label"].to_numpy()[::-1]
    provenance = read_provenance(samples)
    write_samples(tmp_path / "s.h5", frame, provenance)
    found = run(tmp_path / "f.h5", samples=tmp_path / "s.h5")
    assert found.read_bytes() == undisturbed.read_bytes()


def test_continuing_is_said_in_the_log(run, tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.INFO, logger="lpclip")
    interrupt(run, tmp_path / "f.h5", monkeypatch, after=1)
    run(tmp_path / "f.h5")
    assert f"continuing an interrupted run after 8 of {N} images" in caplog.text


OFFICIAL = {
    "gaussian_noise": {"official": True, "severities": [1, 2, 3, 4, 5]},
    "fog": {"official": True, "severities": [5, 1]},
}


@pytest.fixture(scope="module")
def cifar_c(tmp_path_factory):
    """Return published corruptions of N images in memory, and their index."""
    folder = tmp_path_factory.mktemp("cifar_c")
    random = np.random.default_rng(0)
    for name in OFFICIAL:
        images = random.integers(256, size=(5 * N, 32, 32, 3), dtype=np.uint8)
        np.save(folder / f"{name}.npy", images)
    np.save(folder / "labels.npy", np.tile(np.arange(N) % 3, 5))
    source = {"kind": "cifar_c", "root": str(folder)}
    index_samples(output=folder / "samples.h5", dataset="c", source=source)
    return {"source": source, "samples": folder / "samples.h5", "views": OFFICIAL}


def test_published_corruptions_are_encoded_as_they_are(run, cifar_c, tmp_path):
    found = features(run(tmp_path / "f.h5", **cifar_c))
    model = load_model(MODEL, device="cpu")
    for name, settings in OFFICIAL.items():
        images = np.load(f"{cifar_c['source']['root']}/{name}.npy", allow_pickle=False)
        assert found[name].shape[:2] == (len(settings["severities"]), N)
        for version, severity in enumerate(settings["severities"]):
            rows = images[(severity - 1) * N : severity * N]
            pixels = torch.from_numpy(rows).permute(0, 3, 1, 2).float() / 255
            expected = model.embed(pixels).numpy()
            np.testing.assert_allclose(found[name][version], expected, rtol=1e-3, atol=1e-2)
            other = found[name][version - 1]
            assert np.abs(other - expected).max() > 0.05


def test_published_corruptions_continue_after_an_interruption(run, cifar_c, tmp_path, monkeypatch):
    whole = run(tmp_path / "whole.h5", **cifar_c)
    # 20 images in 3 chunks of 7 versions: stop in the second chunk.
    with pytest.raises(RuntimeError, match="killed"):
        interrupt(run, tmp_path / "f.h5", monkeypatch, after=10, **cifar_c)
    again = run(tmp_path / "f.h5", workers=2, **cifar_c)
    assert again.read_bytes() == whole.read_bytes()


def test_corruptions_that_were_not_published_are_refused(run, cifar_c, source, samples, tmp_path):
    snow = {"snow": {"official": True, "severities": [1]}}
    with pytest.raises(LpclipError, match="no published corruptions 'snow'"):
        run(tmp_path / "f.h5", **(cifar_c | {"views": snow}))
    with pytest.raises(LpclipError, match="no published corruptions 'fog'"):
        run(tmp_path / "f.h5", source=source, samples=samples, views={"fog": OFFICIAL["fog"]})


def test_a_damaged_published_file_is_named_without_the_advice_to_skip_it(run, tmp_path):
    root = write_imagenet_c(tmp_path / "c", ("fog",), size=32)
    source = {"kind": "imagenet_c", "root": str(root)}
    index_samples(output=tmp_path / "samples.h5", dataset="c", source=source)
    damaged = sorted((root / "fog/3").rglob("*.JPEG"))[1]
    damaged.write_bytes(damaged.read_bytes()[:100])
    views = {"fog": {"official": True, "severities": [1, 2, 3, 4, 5]}}
    with pytest.raises(LpclipError) as error:
        run(tmp_path / "f.h5", source=source, samples=tmp_path / "samples.h5", views=views)
    assert str(damaged) in str(error.value)
    assert "Repair what is damaged. If" in str(error.value)


def test_a_square_image_of_the_models_size_is_neither_resized_nor_cropped():
    model = load_model(MODEL, device="cpu")
    image = np.random.default_rng(0).integers(256, size=(32, 32, 3), dtype=np.uint8)
    expected = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    assert torch.equal(model.to_pixels(Image.fromarray(image)), expected)
    # An image of another size is resized as a whole: nothing is cropped.
    framed = np.zeros((224, 224, 3), dtype=np.uint8)
    framed[:14], framed[-14:], framed[:, :14], framed[:, -14:] = 255, 255, 255, 255
    resized = model.to_pixels(Image.fromarray(framed))
    edges = [resized[:, 0], resized[:, -1], resized[:, :, 0], resized[:, :, -1]]
    assert all((edge > 0.95).all() for edge in edges)
    assert resized[:, 4:-4, 4:-4].max() < 0.05
