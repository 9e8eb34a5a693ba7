"""Push, pull and predict against a hub of the test; the card; what is refused."""

import re

import h5py
import pandas as pd
import pytest
import yaml
from huggingface_hub import constants

from lpclip.cli.command import main
from lpclip.cli.hub.card import _code
from lpclip.cli.hub.folder import FILES
from lpclip.cli.hub.push import push
from lpclip.cli.predict import predict
from lpclip.columns.registry import TABLES
from lpclip.errors import LpclipError
from lpclip.storage.probe import load_probe
from tests.helpers import ROOT
from tests.helpers.fake_hub import TOKEN, fake_hub
from tests.helpers.trained import write_trained


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    write_trained(folder)
    return folder


@pytest.fixture(scope="module")
def hub():
    with fake_hub() as hub:
        yield hub


@pytest.fixture
def client(hub, tmp_path, monkeypatch):
    """Return a function that runs a command with the hub of the test, by a token or none."""

    def run(*arguments, token=TOKEN, address=hub.address):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "no token"))
        monkeypatch.setenv("HF_TOKEN", token)
        main([str(one) for one in arguments])

    return run


@pytest.fixture
def pulled(folder, hub, client, tmp_path, capsys):
    """Push a probe, and pull it into another folder."""
    client("push", "--probe", folder / "probes.h5", "--seed", 8, "--to", "me/head")
    assert capsys.readouterr().out.strip() == f"{hub.address}/me/head/commit/{'0' * 40}"
    output = tmp_path / "pulled"
    client("pull", "me/head", "--output", output)
    assert sorted(capsys.readouterr().out.split()) == sorted(map(str, output.iterdir()))
    return output


def test_a_pulled_probe_predicts_what_the_pushed_one_does(folder, pulled):
    inputs = [folder / "clean.h5"]
    before = predict(probes=folder / "probes.h5", inputs=inputs, seed=8).table
    after = predict(probes=pulled / "probes.h5", inputs=inputs).table
    pd.testing.assert_frame_equal(before, after)
    other = predict(probes=folder / "probes.h5", inputs=inputs, seed=3).table
    assert not other["confidence"].equals(before["confidence"])


@pytest.mark.usefixtures("pulled")
def test_a_repository_is_private_unless_it_is_asked_to_be_public(folder, hub, client):
    assert hub.private["me/head"] is True
    client("push", "--probe", folder / "probes.h5", "--to", "me/open", "--public")
    assert hub.private["me/open"] is False
    assert hub.repositories["me/open"].keys() <= set(FILES)


def test_predict_refuses_another_encoder_for_a_pulled_probe(pulled, tmp_path):
    with h5py.File(pulled / "probes.h5") as file:
        assert file.attrs["pulled_from"] == "me/head@main"
        weights = file.attrs["weights"]
    other = tmp_path / "other.h5"
    other.write_bytes((pulled / "probes.h5").read_bytes())
    with h5py.File(other, "r+") as file:
        file.attrs["weights"] = "0123456789abcdef"
    image = ROOT / "docs/severity.png"
    assert len(predict(probes=pulled / "probes.h5", inputs=[image], device="cpu").table) == 1
    with pytest.raises(LpclipError, match=f"weights 0123456789abcdef.*holds {weights}"):
        predict(probes=other, inputs=[image], device="cpu")


@pytest.mark.parametrize(
    ("arguments", "token", "message"),
    [
        (("pull", "me/absent"), TOKEN, "me/absent is not on http.*, or is private"),
        (("pull", "me/head", "--revision", "v9"), TOKEN, "me/head has no such revision"),
        (("pull", "me/head"), "", "me/head is not on http.*hf auth login"),
        (("pull", "a/b/c"), TOKEN, "'a/b/c' is not a repository of the hub"),
        (("pull", "me/else"), TOKEN, "me/else at main has no probe.safetensors"),
        (("push", "--to", "me/new"), "", "To .*, log in with `hf auth login`, or set HF_TOKEN"),
        (("push", "--to", "me/new"), "hf_wrong", "does not allow this with me/new"),
    ],
)
@pytest.mark.usefixtures("pulled")
def test_errors_name_the_way_out(folder, hub, client, capsys, tmp_path, arguments, token, message):
    hub.repositories["me/else"], hub.private["me/else"] = {"README.md": b""}, False
    more = ("--output", tmp_path / "x") if arguments[0] == "pull" else ()
    more = more or ("--probe", folder / "probes.h5")
    with pytest.raises(SystemExit, match="1"):
        client(*arguments, *more, token=token)
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "x/probes.h5").exists()


def test_a_hub_that_cannot_be_reached_is_named(client, capsys, tmp_path):
    with pytest.raises(SystemExit, match="1"):
        client("pull", "me/head", "--output", tmp_path / "x", address="http://127.0.0.1:9")
    assert "http://127.0.0.1:9 cannot be reached" in capsys.readouterr().err


def test_without_a_repository_the_files_are_only_written(folder, hub, tmp_path):
    before = list(hub.requests)
    assert "nothing was uploaded" in push(probes=folder / "probes.h5", output=tmp_path / "h")
    assert hub.requests == before
    assert {path.name for path in (tmp_path / "h").iterdir()} <= set(FILES)
    with pytest.raises(LpclipError, match="--to OWNER/NAME, or --output FOLDER"):
        push(probes=folder / "probes.h5")


@pytest.fixture
def card(folder, tmp_path):
    """Write the card of a probe with reports of its run."""
    probe = load_probe(folder / "probes.h5", seed=3)
    of = {"model": probe.provenance["model"], "benchmark": probe.provenance["benchmark"]}
    method = probe.provenance["method"]
    kinds = [("clean", "clean", "clean", 0), ("standard_corruptions", "mean", "generated", None)]
    kinds += [("fog", "weather", "generated", 1), ("sketch", "natural", "natural", 0)]
    accuracies = {"clean": 0.8, "standard_corruptions": 0.7, "sketch": 0.6, "fog": 0.5}
    shifts = [
        {**of, "method": method, "n_seeds": 3, "shift": shift, "family": family}
        | {"source": source, "n_severities": 1, "accuracy": accuracies[shift]}
        for shift, family, source, _ in kinds
    ]
    comparisons = [
        {**of, "method": method, "n_seeds": 3, "dataset": "t", "shift": shift, "family": family}
        | {"source": source, "severity": severity, "n": 1234, "difference": 0.05}
        | {"difference_low": 0.01, "difference_high": 0.09, "only_method": 9, "only_zero_shot": 4}
        for shift, family, source, severity in kinds
    ]
    results = tmp_path / "results"
    results.mkdir()
    for name, rows in {"shifts": shifts, "comparisons": comparisons}.items():
        table = pd.DataFrame(rows, columns=TABLES[name].names)
        table.to_csv(results / f"{name}.csv", index=False)
    push(probes=folder / "probes.h5", output=tmp_path / "h", results=results, license="cc-by-4.0")
    return (tmp_path / "h/README.md").read_text(encoding="utf-8")


def test_the_card_has_the_table_with_its_intervals(card):
    _, front, text = card.split("---\n", 2)
    assert yaml.safe_load(front)["library_name"] == "lpclip"
    assert yaml.safe_load(front)["license"] == "cc-by-4.0"
    rows = [line for line in text.splitlines() if line.startswith("| ")][2:]
    assert rows == [
        "| clean | 1,234 | 75.0 | 80.0 | +5.0 [+1.0, +9.0] |",
        "| standard corruptions | 1,234 | 65.0 | 70.0 | +5.0 [+1.0, +9.0] |",
        "| sketch | 1,234 | 55.0 | 60.0 | +5.0 [+1.0, +9.0] |",
    ]


def text_of(folder, output, probes="probes.h5", **settings):
    push(probes=folder / probes, output=output, **settings)
    return (output / "README.md").read_text(encoding="utf-8")


def test_a_card_without_reports_claims_nothing(folder, tmp_path):
    text = text_of(folder, tmp_path / "h")
    assert "was not evaluated on labelled images, or the reports" in text
    assert "| clean" not in text


def test_reports_that_are_named_must_be_there(folder, tmp_path):
    with pytest.raises(LpclipError, match=r"lacks shifts\.csv, comparisons\.csv"):
        push(probes=folder / "probes.h5", output=tmp_path / "h", results=tmp_path)


def test_files_of_another_probe_do_not_stay(folder, hub, client, tmp_path):
    output = tmp_path / "h"
    push(probes=folder / "probes.h5", output=output)
    assert (output / "head.json").exists()
    push(probes=folder / "ensemble.h5", output=output)
    assert sorted(path.name for path in output.iterdir()) == ["README.md", "probe.safetensors"]
    client("push", "--probe", folder / "probes.h5", "--to", "me/changing")
    assert "head.json" in hub.repositories["me/changing"]
    client("push", "--probe", folder / "ensemble.h5", "--to", "me/changing")
    assert sorted(hub.repositories["me/changing"]) == ["README.md", "probe.safetensors"]


@pytest.mark.parametrize(
    ("names", "message"),
    [(["notes.txt"], "holds notes.txt"), (["README.md"], "but no probe.safetensors")],
)
def test_a_folder_with_other_files_is_refused(folder, tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_text("mine")
    with pytest.raises(LpclipError, match=f"{message}.*Give a new folder"):
        push(probes=folder / "probes.h5", output=tmp_path)
    assert [(tmp_path / name).read_text() for name in names] == ["mine"]


@pytest.mark.usefixtures("pulled")
def test_a_pull_replaces_a_pulled_probe_and_nothing_else(folder, client, tmp_path, capsys):
    client("push", "--probe", folder / "ensemble.h5", "--to", "me/several")
    for _ in range(2):
        client("pull", "me/head", "--output", tmp_path / "again")
        assert (tmp_path / "again/head.json").exists()
        client("pull", "me/several", "--output", tmp_path / "again")
        names = sorted(path.name for path in (tmp_path / "again").iterdir())
        assert names == ["README.md", "probe.safetensors", "probes.h5"]
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "README.md").write_text("mine")
    with pytest.raises(SystemExit, match="1"):
        client("pull", "me/head", "--output", mine)
    assert "Give a new folder as --output" in capsys.readouterr().err
    assert (mine / "README.md").read_text() == "mine"


def test_a_card_names_what_the_head_is(folder, tmp_path):
    trained = text_of(folder, tmp_path / "1")
    assert "A linear head on the frozen" in trained
    assert "trained by the method `lp_clip` without a single label" in trained
    zero_shot = text_of(folder, tmp_path / "2", round=0)
    assert "zero-shot CLIP, whose weights are the features of the class names" in zero_shot
    assert "trained" not in zero_shot.partition("## Use it")[0].partition("# A head")[2]
    ensemble = text_of(folder, tmp_path / "3", probes="ensemble.h5")
    assert "The mean of 3 linear heads on the frozen" in ensemble
    assert "torch.nn.Linear" not in ensemble


@pytest.mark.parametrize(
    ("name", "code"), [("<b>a</b>", "`<b>a</b>`"), ("a`b", "`` a`b ``"), ("a\nb", "`a b`")]
)
def test_class_names_mean_nothing_in_the_card(name, code):
    assert _code(name) == code
