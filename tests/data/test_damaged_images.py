"""Damaged image files: every reader returns an image or raises the same short error.

Hypothesis generates the damage, the same in every run.
"""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from lpclip.cli.command import main
from lpclip.data.jpeg import decode_plain
from lpclip.data.read_image import MAX_PIXELS, decode, is_image, read_file
from lpclip.errors import BadImageError
from tests.helpers.zoo import zoo


def fixed(n_examples):
    return settings(
        derandomize=True,
        max_examples=n_examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # shrinking takes minutes
    )


@st.composite
def damaged(draw):
    """Generate a file of the zoo with changed, removed, inserted or truncated bytes."""
    data = bytearray(zoo()[draw(st.sampled_from(sorted(zoo())))].data)
    # Half of the damage is in headers.
    ends = st.sampled_from([64, len(data)])
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, min(draw(ends), len(data))))
        length = draw(st.integers(0, 4))
        data[place : place + length] = draw(st.binary(max_size=6))
    return bytes(data[: draw(st.integers(0, len(data)))] if draw(st.booleans()) else data)


def outcome(read, *arguments):
    """Return the pixels, or the reason for the error."""
    try:
        image = read(*arguments)
    except BadImageError as error:
        return error.reason if error.reason and "\n" not in str(error) else error
    assert image.mode == "RGB"
    assert 0 < image.width * image.height <= MAX_PIXELS
    return np.asarray(image)


@fixed(200)
@given(damaged())
def test_damaged_bytes_are_an_image_or_a_sentence_by_every_reader(tmp_path, data):
    path = tmp_path / "image"
    path.write_bytes(data)
    found = outcome(decode, data, "x")
    by_path = outcome(read_file, path)
    assert isinstance(is_image(path), bool)
    pixels = decode_plain(data, largest=1 << 20)
    if isinstance(found, str):
        assert by_path == found
        assert pixels is None
    else:
        assert np.array_equal(by_path, found)
        assert pixels is None or np.array_equal(pixels.permute(1, 2, 0).numpy(), found)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of damaged files, and which of them cannot be read."""
    root = tmp_path_factory.mktemp("damaged")
    bad = []

    @fixed(60)
    @given(damaged())
    def write(data):
        (root / f"{len(bad):02}.png").write_bytes(data)
        bad.append(isinstance(outcome(decode, data, "x"), str))

    write()
    assert 10 < sum(bad) < 50
    return root, bad


@pytest.mark.parametrize("policy", ["skip", "error"])
def test_a_folder_of_damaged_files_ends_in_success_or_in_a_sentence(
    policy, folder, tmp_path, capsys
):
    root, bad = folder
    source = {"kind": "folder", "root": str(root), "labelled": False}
    given = {"dataset": "d", "source": source}
    settings = json.dumps({**given, "on_bad_image": policy})
    assert status(["index-samples", "--settings", settings, "--output", f"{tmp_path}/s.h5"]) == 0
    model = {"name": "tiny", "architecture": "lpclip-tiny", "pretrained": "embedded"}
    settings = json.dumps({**given, "model": model, "views": {"clean": {}}, "device": "cpu"})
    files = ["--samples", f"{tmp_path}/s.h5", "--output", f"{tmp_path}/c.h5"]
    assert status(["embed-images", "--settings", settings, *files]) == (policy == "error")
    said = capsys.readouterr().err
    if policy == "error":
        assert f"lpclip: {sum(bad)} images cannot be read, among them:" in said
    else:
        kept = pd.read_hdf(tmp_path / "c.h5", "samples")["id"]
        assert list(kept) == [f"{row:02}.png" for row, is_bad in enumerate(bad) if not is_bad]
        assert said.replace("lpclip: warning: left out", "").count("lpclip: ") == 0


def status(arguments):
    """Run a command; return its exit status."""
    try:
        main(arguments)
    except SystemExit as error:
        return error.code
    return 0
