"""A method of a plugin: what it may read, and what it has to give."""

import numpy as np
import pytest

from lpclip.errors import LpclipError
from lpclip.methods.registry import load_method
from lpclip.methods.train import train_probe
from lpclip.storage.probes import read_probes
from lpclip.storage.text import write_text
from lpclip.utils import plugins
from tests.helpers.labelled import MODEL, SCALE, D, write_samples
from tests.helpers.plugged import SHRUNK, no_plugins

PEEK = """
    from concurrent.futures import ThreadPoolExecutor
    from pathlib import Path
    from lpclip.data.class_matching import read_labels

    with ThreadPoolExecutor(1) as pool:
        HOW
"""
READS = 'read_labels(Path("samples.h5"), head.class_names)'
IN_A_THREAD = 'pool.submit(read_labels, Path("samples.h5"), head.class_names).result()'


@pytest.fixture
def world(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    provenance = {**MODEL, "scale": SCALE, "bias": 0.0}
    weight = np.eye(3, D, dtype=np.float32)
    write_text(
        tmp_path / "text.h5", features=weight, class_names=list("abc"), provenance=provenance
    )
    write_samples(tmp_path / "samples.h5", np.arange(9) % 3, "abc")
    with no_plugins():
        yield tmp_path


def train(world, text, **inputs):
    (world / "mine.py").write_text(text)
    plugins.use(["mine.py"])
    train_probe(
        text=world / "text.h5",
        output=world / "probes.h5",
        benchmark="b",
        method="m",
        kind="mine",
        seeds=(0,),
        settings={"strength": 0.5},
        **inputs,
    )
    return read_probes(world / "probes.h5")


def with_body(body):
    """The plugin, with other lines at the start of fit."""
    start = "def fit(head, inputs, settings, seeds):\n"
    return SHRUNK.replace(start, start + body)


def test_its_probes_are_written_with_its_kind(world):
    probes, provenance = train(world, SHRUNK)
    assert provenance["method_kind"] == "mine"
    assert np.allclose(probes.weight[1, 0], (np.eye(3, D) + np.eye(3, D).mean(axis=0)) / 2)


def test_a_file_that_it_does_not_need_is_refused(world):
    with pytest.raises(LpclipError, match="must not read samples"):
        train(world, SHRUNK, samples=world / "samples.h5")


@pytest.mark.parametrize("how", [READS, IN_A_THREAD], ids=["at once", "in a thread"])
def test_it_cannot_read_labels_that_it_does_not_declare(world, how):
    with pytest.raises(LpclipError, match=r"labels of samples\.h5 cannot be read: methods of kind"):
        train(world, with_body(PEEK.replace("HOW", how)))


def test_a_method_that_declares_labels_reads_them_and_says_which(world):
    seen = """
    from dataclasses import replace
    from lpclip.data.class_matching import read_labels

    assert len(read_labels(inputs["samples"], head.class_names).of_benchmark) == 9
"""
    text = with_body(seen).replace("NEEDS = ()", 'NEEDS = ("samples",)')
    with pytest.raises(LpclipError, match="labels_seen of its probes does not tell"):
        train(world, text, samples=world / "samples.h5")


def test_what_is_no_probes_is_refused(world):
    with pytest.raises(LpclipError, match="fit of a method of kind 'mine' returned int, not Pro"):
        train(world, with_body("    return 3\n"))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("NEEDS = ()", 'NEEDS = ("sample",)', "Did you mean 'samples'"),
        ("NEEDS = ()", "", "a method needs NEEDS"),
        ("NEEDS = ()", 'NEEDS = ("probes",)', "needs the setting 'method'"),
        ("NEEDS = ()", 'NEEDS = ("pseudo_labels",)', "needs the setting 'labelling'"),
        ("@settings_class", "", "needs a class Settings"),
    ],
)
def test_a_file_that_is_no_whole_method_is_refused(world, old, new, sentence):
    assert old in SHRUNK
    (world / "mine.py").write_text(SHRUNK.replace(old, new))
    plugins.use(["mine.py"])
    with pytest.raises(LpclipError) as error:
        load_method("mine")
    assert sentence in str(error.value)
    assert "mine.py" in str(error.value)
