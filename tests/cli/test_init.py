"""`lpclip init`: answers from options and questions, the look at images, the cost, the files."""

import io
import re

import numpy as np
import pytest
import yaml
from PIL import Image

from lpclip.cli import main
from lpclip.cli.init import cost, survey, weights
from lpclip.cli.init.answers import Answers, Model, class_names, model
from lpclip.cli.init.cost import Rate
from lpclip.cli.init.project import config_text
from lpclip.config.check import complete
from lpclip.errors import LpclipError

RATE = Rate(0.5, 0.01, 0.02, {"adapt": 0.01, **dict.fromkeys(cost.FAMILIES, 0.03)}, "cpu", 16, "")
CHOSEN = ["--unlabelled", "photos", "--model", "tiny", "--templates", "simple"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """A folder with 12 unlabelled images and 2 of each of three classes."""
    monkeypatch.chdir(tmp_path)
    for number in range(12):
        write(tmp_path / f"photos/{number}.png", 20 + number)
    for name in ("big_cat", "dog", "fish"):
        for number in range(2):
            write(tmp_path / f"test/{name}/{number}.png", 32)
    return tmp_path


@pytest.fixture
def rate(monkeypatch):
    """A rate that takes no time to measure."""
    monkeypatch.setattr(cost, "measured_rate", lambda *_, **__: RATE)


def write(path, side):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(side).integers(256, size=(side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


def init(capsys, *options):
    main(["init", "project", *options])
    return capsys.readouterr().out


def refused(capsys, *options):
    with pytest.raises(SystemExit) as stopped:
        main(["init", "project", *options])
    assert stopped.value.code == 1
    return capsys.readouterr().err


def config(folder):
    return yaml.safe_load((folder / "project/config.yaml").read_text())


class Terminal(io.StringIO):
    """What somebody types."""

    def isatty(self):
        return True


def type_in(monkeypatch, *lines):
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))


@pytest.mark.usefixtures("rate")
def test_options_alone_write_a_project(photos, capsys):
    text = init(capsys, *CHOSEN, "--labelled", "test")
    assert "Unlabelled: 12 images" in text
    assert "from 20 x 20 to 31 x 31" in text
    assert "3 of 3 classes have labelled images, 2 each." in text
    found = config(photos)
    assert found["benchmarks"]["mine"]["class_names"] == ["big cat", "dog", "fish"]
    assert found["datasets"]["pool"]["source"] == {
        "kind": "folder", "root": str(photos / "photos"), "labelled": False
    }  # fmt: skip
    assert (photos / "project/profiles/default/config.yaml").is_file()


@pytest.mark.usefixtures("rate")
def test_questions_have_defaults_and_are_repeated_until_the_answer_can_be_used(
    photos, capsys, monkeypatch
):
    type_in(monkeypatch, "fotos", "photos", "test", "", "tinny", "tiny")
    text = init(capsys)
    assert "The folder 'fotos' does not exist" in text
    assert "Did you mean 'tiny'?" in text
    assert config(photos)["benchmarks"]["mine"]["class_names"] == ["big cat", "dog", "fish"]
    assert config(photos)["models"]["tiny"]["pretrained"] == "embedded"


@pytest.mark.usefixtures("rate")
def test_without_labelled_images_the_classes_have_no_default(photos, capsys, monkeypatch):
    type_in(monkeypatch, "photos", "", "", "cat, dog", "tiny")
    init(capsys)
    assert config(photos)["benchmarks"]["mine"]["class_names"] == ["cat", "dog"]
    assert "test" not in config(photos)["datasets"]


def test_input_that_ends_writes_nothing(photos, capsys, monkeypatch):
    type_in(monkeypatch, "photos")
    assert "The input has ended; nothing was written." in refused(capsys)
    assert not (photos / "project").exists()


@pytest.mark.usefixtures("photos")
def test_where_nobody_can_be_asked_missing_options_are_named(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO("photos\n"))
    error = refused(capsys, "--model", "tiny")
    for name in ("--unlabelled", "--labelled", "--classes"):
        assert name in error
    error = refused(capsys, "--unlabelled", "photos", "--labelled", "test", "--model", "tinny")
    assert "Did you mean 'tiny'?" in error  # the folders name the classes


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (["--classes", "bigcat, dog, fish"], r"its class 'big_cat' .* Did you mean 'bigcat'\?"),
        (["--classes", "dog, dog, fish"], "has the name 'dog' twice"),
        (["--classes", "dog"], "'dog' is no file. Give class names as a list"),
        (["--model", "ViT-B-33:openai"], r"no architecture 'ViT-B-33'. Did you mean 'ViT-B-32'\?"),
        (["--model", "ViT-B-32:opanai"], r"no weights 'opanai' .* Did you mean 'openai'\?"),
        (["--templates", "a photo."], "'a photo.', which is neither a file nor a named set"),
        (["--unlabelled", "."], "project would be among the images"),
        (["--unlabelled", "project"], "The folder 'project' does not exist"),
    ],
)
def test_a_wrong_answer_is_refused_and_nothing_is_written(photos, capsys, options, error):
    found = refused(capsys, *CHOSEN, "--labelled", "test", *options)
    assert re.search(error, found, re.DOTALL)
    assert not (photos / "project").exists()


def test_files_of_the_user_are_not_overwritten(photos, capsys):
    (photos / "project").mkdir()
    (photos / "project/Snakefile").write_text("mine")
    assert "Snakefile exists" in refused(capsys, *CHOSEN, "--labelled", "test")
    assert [path.name for path in (photos / "project").iterdir()] == ["Snakefile"]


def test_labelled_images_in_a_folder_of_the_unlabelled_ones_are_left_out(tmp_path):
    answers = make(tmp_path, unlabelled=tmp_path / "a", labelled=tmp_path / "a/test")
    assert answers.unlabelled_source["exclude"] == ["test"]
    deeper = make(tmp_path, unlabelled=tmp_path / "a", labelled=tmp_path / "a/b/test")
    with pytest.raises(LpclipError, match="not one of its folders"):
        _ = deeper.unlabelled_source


def make(folder, **changes):
    given = {
        "project": folder / "project",
        "unlabelled": folder / "photos",
        "labelled": None,
        "class_names": ["no", "010", "a: b", "été", "[x]", "2026-01-01", "# y", "null"],
        "model": Model("tiny", "lpclip-tiny", "embedded"),
        "templates": ["a {}: {c}", "- {}"],
    }
    return Answers(**given | changes)


def test_whatever_names_look_like_the_configuration_holds_them_as_they_are(photos):
    text = config_text(make(photos))
    found = yaml.safe_load(text)["benchmarks"]["mine"]
    assert found["class_names"] == make(photos).class_names
    assert found["templates"] == make(photos).templates


@pytest.mark.parametrize("labelled", [True, False])
def test_what_is_commented_out_can_be_uncommented(photos, monkeypatch, labelled):
    answers = make(photos, labelled=photos / "test" if labelled else None, templates="simple")
    answers = make(photos, class_names=["big cat", "dog", "fish"], labelled=answers.labelled)
    text = config_text(answers)
    (photos / "photos/test").symlink_to(photos / "test")
    text, edits = re.subn(
        r"^( *)# (seeds:|test:|  source:|  on_bad|labellings:|  auto:|methods:|  zero_shot:"
        r"|  lp_clip_auto:|corruptions:|limit:)",
        r"\1\2",
        text,
        flags=re.MULTILINE,
    )
    assert edits == (8 if labelled else 11)
    monkeypatch.chdir(photos)
    found = complete(yaml.safe_load(text))
    assert list(found.methods) == ["zero_shot", "lp_clip_auto"]
    assert found.labelled == ["mine"]
    assert found.datasets["pool"].limit == 2000


def test_folders_inside_the_project_are_named_relative_to_it(photos):
    text = config_text(make(photos, project=photos))
    assert "root: ./photos," in text
    assert str(photos) not in text


def test_class_names_come_from_a_file_or_folders(tmp_path):
    (tmp_path / "names.txt").write_text("polar bear\ncat\n\n", encoding="utf-8-sig")
    assert class_names(str(tmp_path / "names.txt"), tmp_path) == ["polar bear", "cat"]
    for name in ("n01440764", "n01443537"):
        (tmp_path / "wordnet" / name).mkdir(parents=True)
    with pytest.raises(LpclipError, match="WordNet ids"):
        class_names("folders", tmp_path / "wordnet")


def test_models_of_the_hub_and_of_folders_have_names_for_paths(tmp_path):
    assert model("hf-hub:org/My CLIP (2)").name == "My-CLIP-2"
    assert model(f"local-dir:{tmp_path}").architecture == f"local-dir:{tmp_path}"


def test_unreadable_and_empty_files_are_named(photos):
    (photos / "photos/torn.png").write_bytes((photos / "photos/3.png").read_bytes()[:200])
    (photos / "photos/empty.jpg").touch()
    found = survey.survey({"kind": "folder", "root": str(photos / "photos"), "labelled": False})
    assert [error.path.rpartition("/")[2] for error in found.unreadable] == [
        "empty.jpg",
        "torn.png",
    ]
    assert (found.n, found.usable) == (14, 12)
    text = survey.described(found, "Unlabelled")
    assert "All were read; 2 cannot be read" in text
    assert "empty.jpg (the file is empty)" in text


def test_of_many_images_a_sample_is_read(photos, monkeypatch):
    monkeypatch.setattr(survey, "MOST_READ", 5)
    found = survey.survey({"kind": "folder", "root": str(photos / "photos"), "labelled": False})
    assert (found.n, found.n_read) == (12, 5)
    assert "5 were read, chosen at random" in survey.described(found, "Unlabelled")


def test_reading_ends_when_its_time_is_over(photos, monkeypatch):
    monkeypatch.setattr(survey, "SECONDS", -1.0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    found = survey.survey({"kind": "folder", "root": str(photos / "photos"), "labelled": False})
    assert found.n_read == 4


def test_a_folder_without_images_is_refused(tmp_path):
    with pytest.raises(LpclipError, match="has no images"):
        survey.survey({"kind": "folder", "root": str(tmp_path), "labelled": False})


def test_the_cost_is_the_rate_times_all_views(photos, monkeypatch):
    monkeypatch.chdir(photos)
    answers = make(photos, labelled=photos / "test", class_names=["big cat", "dog", "fish"])
    config = complete(yaml.safe_load(config_text(answers)))
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0})
    found = cost.cost_of(config, {"pool": 10, "test": 4}, RATE)
    assert found.encodings == 10 * 17 + 4 * 96
    # Indices read every image; then come adapt and clean, clean, and four families of corruptions.
    decoded = 14 + 2 * 10 + 5 * 4
    views = 0.02 * (10 * 17 + 4 * 96) + 0.01 * 10 * 16
    assert found.corruptions == pytest.approx(0.5 * 4 + 0.01 * 4 * 4 + (0.02 + 0.03) * 4 * 95)
    assert found.seconds == pytest.approx(0.5 * 7 + 0.01 * decoded + views + 0.03 * 4 * 95)
    text = cost.described(found, model="tiny", download=0.6)
    assert "14 images in 554 views" in text
    assert "measured on 16 images" in text
    assert "0.6 GB of weights to download" in text


def test_the_rate_is_measured_with_the_models_own_weights_where_they_are_here(photos):
    config = complete(yaml.safe_load(config_text(make(photos))))
    found = cost.measured_rate(
        config.models["tiny"], config.datasets["pool"], threads=1, corruptions=True
    )
    assert found.n_images in (4, 12)  # on a busy machine, four take long enough
    assert found.remark == ""
    assert min(found.start, found.decode, found.encode, *found.make.values()) > 0


def test_where_nothing_can_be_measured_the_cost_is_called_a_guess(photos):
    config = complete(yaml.safe_load(config_text(make(photos))))
    hub = type(config.models["tiny"])(name="x", architecture="hf-hub:nobody/has-this")
    assert not weights.are_here(hub)
    found = cost.measured_rate(hub, config.datasets["pool"], threads=1, corruptions=False)
    assert found.n_images == 0
    text = cost.described(cost.cost_of(config, {"pool": 12}, found), model="x", download=0)
    assert "a guess from the size of the model" in text
    assert "not known before it is downloaded" in text


def test_random_weights_take_the_place_of_those_that_would_be_downloaded(photos, tmp_path):
    spec = complete(yaml.safe_load(config_text(make(photos)))).models["tiny"]
    (tmp_path / "weights").mkdir()
    found = weights.random_weights(spec, tmp_path / "weights")
    assert weights.are_here(found)
    assert found.architecture == spec.architecture
