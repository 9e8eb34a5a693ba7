"""The source `folder`: a tree of image files."""

import os

import pytest
from PIL import Image

from lpclip.data.base import UNLABELLED
from lpclip.data.registry import open_source
from lpclip.errors import BadImageError, LpclipError


def save(path, colour=0, mode="RGB", size=(5, 4)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, colour).save(path)


@pytest.fixture
def root(tmp_path):
    for name in ("dog/2.png", "dog/10.JPG", "dog/deep/0.png", "cat/1.bmp", "çat/a.webp"):
        save(tmp_path / "set" / name)
    (tmp_path / "set/dog/notes.txt").write_text("no image")
    (tmp_path / "set/empty").mkdir()
    return tmp_path / "set"


def source(root, **settings):
    return open_source("folder", {"root": str(root), **settings})


def test_the_first_level_names_the_classes_in_the_order_of_the_alphabet(root):
    assert list(source(root).class_names) == ["cat", "dog", "empty", "çat"]


def test_samples_are_the_image_files_by_path_with_the_label_of_their_class(root):
    samples = source(root).samples()
    assert [(sample.id, sample.label) for sample in samples] == [
        ("cat/1.bmp", 0),
        ("dog/10.JPG", 1),
        ("dog/2.png", 1),
        ("dog/deep/0.png", 1),
        ("çat/a.webp", 3),
    ]
    assert samples[1].path == str(root / "dog/10.JPG")


def test_an_id_does_not_depend_on_where_the_folder_lies(root, tmp_path):
    before = [(sample.id, sample.label) for sample in source(root).samples()]
    root.rename(tmp_path / "moved")
    after = source(tmp_path / "moved").samples()
    assert [(sample.id, sample.label) for sample in after] == before


def test_without_labels_every_image_counts_and_has_none(root):
    save(root / "loose.png")
    unlabelled = source(root, labelled=False)
    assert unlabelled.class_names is None
    assert {sample.label for sample in unlabelled.samples()} == {UNLABELLED}
    assert len(unlabelled.samples()) == 6


def test_an_image_outside_every_class_folder_is_refused_by_its_path(root):
    save(root / "loose.png")
    with pytest.raises(LpclipError, match=r"loose\.png lies in no class folder.*labelled: false"):
        source(root).samples()


def test_class_folders_may_be_links(root, tmp_path):
    (tmp_path / "selection").mkdir()
    (tmp_path / "selection/dog").symlink_to(root / "dog", target_is_directory=True)
    ids = [sample.id for sample in source(tmp_path / "selection").samples()]
    assert ids == ["dog/10.JPG", "dog/2.png", "dog/deep/0.png"]


def test_a_file_counts_by_what_is_in_it_where_its_name_does_not_end_as_images_do(root):
    for name in ("cat/plain", "cat/wrong.txt", "cat/odd.12"):
        (root / name).write_bytes((root / "cat/1.bmp").read_bytes())
    for name in ("README", "list.csv", "Thumbs.db", "empty.txt"):
        (root / "cat" / name).write_bytes(b"" if "empty" in name else b"id,path\n\x00\xff")
    ids = [sample.id for sample in source(root).samples() if sample.label == 0]
    assert ids == ["cat/1.bmp", "cat/odd.12", "cat/plain", "cat/wrong.txt"]


def test_what_ought_to_be_an_image_is_never_left_out(root):
    (root / "cat/1.bmp").write_text("text")
    (root / "cat/2.HEIC").touch()
    (root / "cat/3").symlink_to(root / "gone")
    os.mkfifo(root / "cat/4.png")
    dataset = source(root)
    ids = [sample.id for sample in dataset.samples() if sample.label == 0]
    assert ids == ["cat/1.bmp", "cat/2.HEIC", "cat/3", "cat/4.png"]
    reasons = [
        "not an image of a known format, but a text file",
        "the file is empty",
        "no such file or directory",
        "not a file",
    ]
    for sample, reason in zip(dataset.samples(), reasons, strict=False):
        with pytest.raises(BadImageError) as error:
            dataset.read(sample.path)
        assert (error.value.path, error.value.reason) == (sample.path, reason)


def test_hidden_files_and_folders_are_not_there(root):
    before = source(root).samples()
    save(root / ".cache/a.png")
    save(root / "dog/.ipynb_checkpoints/2-checkpoint.png")
    (root / "dog/._2.png").write_bytes(b"\0\5\x16\7")
    (root / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    assert source(root).samples() == before
    assert ".cache" not in source(root).class_names


@pytest.mark.parametrize("name", ["@eaDir", "__MACOSX", "#recycle", "$RECYCLE.BIN", ".thumbnails"])
@pytest.mark.parametrize("place", ["", "dog/", "dog/deep/"])
def test_folders_of_thumbnails_and_bins_are_not_there(root, name, place):
    before = source(root).samples(), list(source(root).class_names)
    save(root / place / name / "2.png/SYNOPHOTO_THUMB_M.jpg")
    assert (source(root).samples(), list(source(root).class_names)) == before


def test_folders_can_be_excluded(root):
    opened = source(root, exclude=["dog", "empty"])
    assert list(opened.class_names) == ["cat", "çat"]
    assert [(sample.id, sample.label) for sample in opened.samples()] == [
        ("cat/1.bmp", 0),
        ("çat/a.webp", 1),
    ]
    save(root / "cat/dog/1.png")  # at another level
    unlabelled = source(root, exclude=["dog"], labelled=False).samples()
    assert [sample.id for sample in unlabelled] == ["cat/1.bmp", "cat/dog/1.png", "çat/a.webp"]
    (root / "link").symlink_to(root / "dog", target_is_directory=True)
    assert "link/2.png" in {sample.id for sample in source(root, exclude=["dog"]).samples()}
    for labelled in (True, False):
        with pytest.raises(LpclipError, match=r"no folder 'dgo' to exclude\. Did you mean 'dog'"):
            source(root, exclude=["dgo"], labelled=labelled).samples()
    with pytest.raises(LpclipError, match="has no class folders but those that are excluded"):
        source(root, exclude=["cat", "dog", "empty", "link", "çat"]).class_names  # noqa: B018


def test_a_set_without_class_folders_is_refused_with_advice(tmp_path):
    save(tmp_path / "flat/1.png")
    with pytest.raises(
        LpclipError, match=r"flat has no class folders. Sort .* or set labelled: fal"
    ):
        source(tmp_path / "flat").class_names  # noqa: B018
    assert len(source(tmp_path / "flat", labelled=False).samples()) == 1


def test_every_folder_is_read_once_however_links_go(root):
    before = source(root).samples()
    (root / "dog/up").symlink_to(root, target_is_directory=True)
    (root / "cat/self").symlink_to("self")
    (root / "cat/twin").symlink_to(root / "dog", target_is_directory=True)
    (root / "dog/deep/again").symlink_to("../deep", target_is_directory=True)
    found = source(root).samples()
    assert [sample for sample in found if sample.id != "cat/self"] == before


def test_a_folder_that_two_links_lead_to_belongs_to_the_one_nearer_to_the_root(root, tmp_path):
    (root / "dog").rename(tmp_path / "dog")
    (root / "cat/inside").symlink_to(tmp_path / "dog", target_is_directory=True)
    (root / "dog").symlink_to(tmp_path / "dog", target_is_directory=True)
    assert "dog/2.png" in {sample.id for sample in source(root).samples()}
    assert "cat/inside/2.png" not in {sample.id for sample in source(root).samples()}


@pytest.mark.parametrize("where", [".", "set", "set/", "./set/../set"])
def test_ids_are_the_same_however_the_root_is_written(root, monkeypatch, where):
    before = [(sample.id, sample.label) for sample in source(root).samples()]
    monkeypatch.chdir(root if where == "." else root.parent)
    dataset = source(where)
    assert [(sample.id, sample.label) for sample in dataset.samples()] == before
    assert dataset.read(dataset.samples()[0].path).size == (5, 4)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_cannot_be_listed_is_refused(root):
    (root / "cat").chmod(0)
    try:
        with pytest.raises(LpclipError, match=r"set/cat cannot be listed \(Permission denied\)"):
            source(root).samples()
    finally:
        (root / "cat").chmod(0o700)


def test_a_folder_that_does_not_exist_is_refused(tmp_path):
    with pytest.raises(LpclipError, match=r"gone' does not exist\. Check 'root'"):
        source(tmp_path / "gone")
    with pytest.raises(LpclipError, match=r"'~/gone' does not exist. Write the home folder out"):
        source("~/gone")


def test_settings_that_are_missing_or_unknown_are_refused(root):
    with pytest.raises(LpclipError, match="'folder' lacks the setting 'root'"):
        open_source("folder", {})
    with pytest.raises(LpclipError, match=r"no setting 'labeled'\. Did you mean 'labelled'"):
        source(root, labeled=False)


def test_settings_of_another_type_are_refused_and_words_for_no_mean_no(root):
    with pytest.raises(LpclipError, match=r"'folder': root is 3; allowed: text"):
        open_source("folder", {"root": 3})
    with pytest.raises(LpclipError, match=r"'folder': labelled is 'some'; allowed: true or false"):
        source(root, labelled="some")
    assert source(root, labelled="no").class_names is None
