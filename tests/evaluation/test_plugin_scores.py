"""OOD scores of plugins: computed next to lpclip's own, and refused where they are none."""

import numpy as np
import pytest

from lpclip.errors import LpclipError
from lpclip.evaluation.held_out import held_out_auroc
from lpclip.evaluation.ood_scores import SCORE_KINDS, head_scores
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.ood_score_names import SCORES
from lpclip.storage.probes import Probes
from lpclip.utils import plugins
from tests.helpers.labelled import write_samples
from tests.helpers.plugged import MARGIN, no_plugins

MORE = {"mine": {"kind": "margin", "temperature": 2.0}}


@pytest.fixture
def use(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text=MARGIN, name="margin.py"):
        (tmp_path / name).write_text(text)
        plugins.use([name])

    with no_plugins():
        yield write


def heads(members=None):
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(2, 1, 4, 6)).astype(np.float32)
    bias = rng.normal(size=(2, 1, 4)).astype(np.float32)
    more = {}
    if members:
        more["member_weight"] = rng.normal(size=(1, members, 4, 6)).astype(np.float32)
        more["member_bias"] = rng.normal(size=(1, members, 4)).astype(np.float32)
    rounds = rounds_table([Round(number, 0) for number in (0, 1)])
    return Probes(weight, bias, 10.0, tuple("abcd"), (0,), rounds, **more)


def features(n=30):
    values = np.random.default_rng(1).normal(size=(n, 6)).astype(np.float32)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.mark.parametrize("members", [None, 3])
def test_a_score_gets_the_head_and_its_settings(use, members):
    use()
    probes, values = heads(members), features()
    found = head_scores(probes, values, MORE)
    ordered = np.sort(probes.logits(values, -1, 0), axis=1)
    assert np.allclose(found.pop("mine")[0], (ordered[:, -1] - ordered[:, -2]) / 2)
    own = head_scores(probes, values)
    assert list(found) == list(own)
    assert all(np.array_equal(found[name], own[name]) for name in own)


def test_it_is_compared_with_the_others_on_held_out_classes(use):
    use()
    found = held_out_auroc(heads(), features(200), MORE)
    assert set(found) == {*SCORES, "mine"}
    assert 0 <= found["mine"]["auroc"] <= 1


@pytest.mark.parametrize(
    "returned", ["features", "features[:, 0] * float('nan')", "features[1:, 0]", "'text'"]
)
def test_what_is_not_one_finite_number_per_image_is_refused(use, returned):
    use(MARGIN.replace("return ordered[:, -1] - ordered[:, -2]", f"return {returned}"))
    with pytest.raises(LpclipError, match=r"score 'mine' gives .*expected one finite number"):
        head_scores(heads(), features(), MORE)


def test_a_score_cannot_read_labels(use, tmp_path):
    write_samples(tmp_path / "samples.h5", np.arange(9) % 3, "abc")
    peek = """
    from pathlib import Path
    from lpclip.storage.samples import read_samples
    read_samples(Path("samples.h5"), labels=True)
    ordered ="""
    use(MARGIN.replace("\n    ordered =", peek))
    with pytest.raises(LpclipError, match="cannot be read: scores see no label"):
        head_scores(heads(), features(), MORE)


def test_settings_and_kinds_that_are_not_there_are_refused(use):
    use()
    with pytest.raises(LpclipError, match="score 'mine' has no setting 'temprature'"):
        head_scores(heads(), features(), {"mine": {"kind": "margin", "temprature": 1}})
    with pytest.raises(LpclipError, match=r"No plugin adds the OOD score 'magrin'\. Did you mean"):
        SCORE_KINDS.load("magrin")


def test_the_name_of_one_of_lpclip_s_scores_is_refused(use):
    use(name="energy.py")
    with pytest.raises(LpclipError, match=r"energy\.py adds the OOD score 'energy', which lpclip"):
        SCORE_KINDS.names()
