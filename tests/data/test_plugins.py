"""Image sources of plugins: opened like lpclip's own, also in worker processes and in pools."""

from copy import copy
from functools import partial
from multiprocessing.reduction import ForkingPickler

import pytest

from lpclip.data.index import index_samples
from lpclip.data.registry import kinds, modules, open_source
from lpclip.errors import LpclipError
from lpclip.features.parallel import _Made
from lpclip.features.pixels import Images, _stacked
from lpclip.storage.samples import read_skipped
from lpclip.utils import plugins
from tests.helpers.plugged import SQUARES, no_plugins


@pytest.fixture
def use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text=SQUARES):
        (tmp_path / "squares.py").write_text(text)
        plugins.use(["squares.py"])

    with no_plugins():
        yield write


def test_a_source_of_a_file_is_opened_with_its_settings(use):
    use()
    assert "squares" in kinds()
    source = open_source("squares", {"n": 3})
    assert [sample.id for sample in source.samples()] == ["0", "1", "2"]
    with pytest.raises(LpclipError, match=r"has no setting 'm'\. Available: n\."):
        open_source("squares", {"m": 3})
    with pytest.raises(
        LpclipError, match=r"Unknown image source 'sqares'\. Did you mean 'squares'"
    ):
        open_source("sqares", {})


def test_a_pool_may_hold_one_and_its_code_counts(use):
    use()
    squares = {"source": {"kind": "squares", "n": 3}, "ood": True}
    parts = [{"source": {"kind": "digits", "split": "test"}, "n": 4}, squares]
    found = modules({"kind": "pool", "parts": parts})
    assert found == ["lpclip.data.sources.digits", "lpclip.data.sources.pool", "squares.py"]
    assert len(open_source("pool", {"parts": parts}).samples()) == 7


def test_worker_processes_load_it_as_well(use, tmp_path):
    use()
    source = {"kind": "squares", "n": 3}
    index_samples(
        output=tmp_path / "samples.h5",
        dataset="d",
        source=source,
        on_bad_image="skip",
        workers=1,
    )
    assert list(read_skipped(tmp_path / "samples.h5")["id"]) == ["2"]


def test_workers_that_are_no_forks_get_its_images(use):
    use()
    images = Images(open_source("squares", {"n": 2}), ["0", "1"], prepare=copy)
    sent = ForkingPickler.dumps(_Made(partial(_stacked, images)))
    with no_plugins():
        # As in a process that starts with nothing.
        rows = ForkingPickler.loads(sent)[range(2)]
    assert rows[1].max() == 1


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("    def read", "    def raed", "read is missing"),
        ("n: int", "n", "the setting 'n' of Source has no type"),
    ],
)
def test_a_class_that_is_no_source_is_refused(use, old, new, sentence):
    use(SQUARES.replace(old, new))
    with pytest.raises(LpclipError, match=f"The plugin squares.py: .*{sentence}"):
        open_source("squares", {"n": 3})
