"""Files of older versions stay readable: those of tests/data/stored, with the values they held.

Each folder there is of one version; tests/helpers/stored_files.py made it, once. A change of layout
that breaks a test here needs a reader or a converter for the files that people have; the new layout
gets a folder of its own.
"""

import shutil

import numpy as np
import pandas as pd
import pytest

import lpclip
from lpclip.cli.command import main
from tests.helpers import ROOT

STORED = ROOT / "tests/data/stored/0.1"
NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LABELS = [8, 1, 0, 1, 4, 0, 7, 1, 0, 0]
PSEUDO_LABELS = [8, 3, 0, 1, 3, 6, 7, 1, 0, 6]
SELECTED = [False, False, True, True, False, True, True, True, True, True]
PREDICTED = [8, 4, 0, 1, 4, 6, 2, 1, 0, 6]
# The first two features of the first two images, as the encoder returned them.
CLEAN = [[-0.66015625, 2.7734375], [-13.1484375, -1.810546875]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A copy: opening a file must not need to write next to the original."""
    return shutil.copytree(STORED, tmp_path_factory.mktemp("stored") / "0.1")


def close(values, expected):
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_the_stored_files_are_small():
    assert sum(path.stat().st_size for path in STORED.parent.rglob("*") if path.is_file()) < 200_000


def test_an_index_has_its_images_and_labels(folder):
    frame = lpclip.read_frame(folder / "samples.h5")
    assert frame["id"].tolist()[::9] == ["digit-0284", "digit-1768"]
    assert frame["path"].tolist()[::9] == ["digits.csv@284", "digits.csv@1768"]
    assert frame["label"].tolist() == LABELS


def test_a_feature_cache_has_its_features(folder):
    stored = lpclip.map_features(folder / "clean.h5")
    assert (stored.shape, stored.dtype) == ((10, 128), np.float16)
    assert stored[:2, :2].tolist() == CLEAN
    frame = lpclip.read_frame(folder / "clean.h5", normalise=False)
    assert frame.loc[:1, ["d0", "d1"]].to_numpy().tolist() == CLEAN


def test_views_are_joined_with_labels_and_pseudo_labels(folder):
    assert lpclip.map_features(folder / "adapt.h5", view="weak").shape == (1, 10, 128)
    strong = lpclip.map_features(folder / "adapt.h5", view="strong")
    assert strong.shape == (2, 10, 128)
    assert strong[1, 9, -3:].tolist() == [7.28515625, -0.5556640625, -10.109375]
    frame = lpclip.read_frame(
        folder / "adapt.h5",
        view="strong",
        version=1,
        labels=folder / "samples.h5",
        pseudo_labels=folder / "pseudo_labels.h5",
    )
    assert frame["label"].tolist() == LABELS
    assert frame["pseudo_label"].tolist() == PSEUDO_LABELS
    close(frame["d0"][0], 0.01112077)


def test_a_text_cache_has_a_unit_vector_per_class(folder):
    frame = lpclip.read_frame(folder / "text.h5")
    assert tuple(frame["name"]) == NAMES
    close(frame.loc[:1, ["d0", "d1"]], [[-0.1141271, 0.00970218], [-0.0991990, -0.1027216]])
    close(np.linalg.norm(frame.filter(regex=r"^d\d+$"), axis=1), 1)


def test_pseudo_labels_have_their_distribution(folder):
    frame = lpclip.read_frame(folder / "pseudo_labels.h5")
    assert frame["class_index"].tolist() == PSEUDO_LABELS
    assert frame["selected"].tolist() == SELECTED
    close(frame["confidence"][0], 0.4986150)
    assert frame[["p8", "p9"]].iloc[0].tolist() == [0.49853515625, 0.37451171875]


def test_probes_predict_what_they_predicted(folder):
    zero_shot = lpclip.load_probe(folder / "probes.h5", round=0)
    probe = lpclip.load_probe(folder / "probes.h5", seed=1)
    close(zero_shot.weight[0, :2], [-0.1141271, 0.00970218])
    close(probe.weight[0, :2], [-0.1135274, 0.00910182])
    close(probe.bias[:2], [-0.000599813, 0.000599579])
    close(probe.scale, 21.2975864)
    assert probe.class_names == NAMES
    assert (probe.provenance["method"], probe.provenance["model"]) == ("lp_clip", "tiny")
    logits = probe.logits(lpclip.map_features(folder / "clean.h5"))
    assert logits.argmax(axis=1).tolist() == PREDICTED
    rounds = lpclip.read_frame(folder / "probes.h5")
    assert rounds[["round", "seed"]].to_numpy().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    close(rounds["coverage"], [np.nan, np.nan, 0.7, 0.7])


def test_the_command_predicts_with_a_stored_probe(folder, tmp_path):
    arguments = ["predict", "--probe", folder / "probes.h5", folder / "clean.h5"]
    main([*map(str, arguments), "--output", str(tmp_path / "predicted.csv")])
    predicted = pd.read_csv(tmp_path / "predicted.csv")
    assert predicted["prediction"].tolist() == [NAMES[index] for index in PREDICTED]
    close(predicted["confidence"][0], 0.804717775)


def test_reports_have_their_types_and_values(folder):
    report = lpclip.read_report(folder / "report.csv").set_index("method")
    assert report.index.tolist() == ["zero_shot", "lp_clip"]
    assert report["n_seeds"].tolist() == [1, 2]
    assert report["accuracy"].tolist() == [0.6, 0.6]
    assert report["ece"].tolist() == [0.267277, 0.310577]
    assert report["student_view"].tolist() == ["", "strong"]
    robustness = lpclip.read_report(folder / "robustness.csv")
    assert robustness.shape == (15, 39)
    assert robustness["severity"].tolist()[:5] == [0, 1, 5, 1, 5]
    first = robustness.drop_duplicates("shift").set_index("shift")
    assert first["group"].to_dict() == {
        "clean": "clean",
        "defocus_blur": "standard",
        "gaussian_blur": "extra",
    }
    assert first["accuracy_low"].tolist() == [0.312674, 0.312674, 0.312674]
    assert first["nll"]["clean"] == 0.854404


def test_pandas_opens_every_stored_file_without_lpclip(folder):
    assert pd.read_hdf(folder / "samples.h5", where="label == 4")["id"].tolist() == ["digit-0998"]
    features = pd.read_hdf(folder / "clean.h5")
    assert features.index[0] == "digit-0284"
    assert features.iloc[:2, :2].to_numpy().tolist() == CLEAN
    assert pd.read_hdf(folder / "clean.h5", "samples")["path"].iloc[0] == "digits.csv@284"
    strong = pd.read_hdf(folder / "adapt.h5", "frames/strong/1")
    assert strong.iloc[9, -1] == -10.109375
    text = pd.read_hdf(folder / "text.h5")
    close(text.loc["one"].iloc[0], -0.0991990)
    labels = pd.read_hdf(folder / "pseudo_labels.h5", "pseudo_labels")
    assert labels["class_index"].tolist() == PSEUDO_LABELS
    probabilities = pd.read_hdf(folder / "pseudo_labels.h5", "frames/probabilities")
    assert probabilities.loc["digit-0284", "eight"] == 0.49853515625
    weight = pd.read_hdf(folder / "probes.h5", "frames/weight/round_1/seed_0")
    close(weight.loc["zero"].iloc[0], -0.1135274)
    assert pd.read_hdf(folder / "probes.h5", "rounds")["epochs"].tolist() == [0, 0, 2, 2]


@pytest.mark.parametrize(
    ("file", "lines"),
    [
        ("samples.h5", ["dataset: few", "stage: index-samples", "samples: table [10]"]),
        ("text.h5", ["scale: 21.297586", "features: float32 [10, 128]"]),
        ("clean.h5", ["model: tiny", "stage: embed-images", "clean: float16 [10, 128]"]),
        ("adapt.h5", ["index: f2ebdbb5e8871ab0", "strong: float16 [2, 10, 128]"]),
        ("pseudo_labels.h5", ["view: weak", "probabilities: float16 [10, 10]"]),
        ("probes.h5", ["method: lp_clip", "stage: train-probe", "weight: float32 [2, 2, 10, 128]"]),
        ("report.csv", ["report.csv: report", "stage: report"]),
        ("robustness.csv", ["15 rows, 39 columns", "text, 3 values: clean, standard, extra"]),
    ],
)  # fmt: skip
def test_inspect_shows_what_a_stored_file_is(folder, capsys, file, lines):
    main(["inspect", str(folder / file)])
    printed = capsys.readouterr().out
    for line in lines:
        assert line in printed, printed


def test_every_stored_array_has_its_checksum(folder, capsys):
    main(["verify", str(folder)])
    assert capsys.readouterr().out.count(": whole, ") == 6
