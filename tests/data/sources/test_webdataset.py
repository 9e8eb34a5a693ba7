"""The source `webdataset`: the samples that the webdataset library reads, by random access."""

import contextlib
import io
import json
import tarfile
from pathlib import Path

import braceexpand
import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader
from webdataset.tariterators import group_by_keys, tar_file_expander

from lpclip.data.base import UNLABELLED
from lpclip.data.registry import open_source
from lpclip.data.shards import _count
from lpclip.errors import LpclipError


def png(value):
    buffer = io.BytesIO()
    Image.new("RGB", (3, 2), (value, 2, 3)).save(buffer, "png")
    return buffer.getvalue()


def shard(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        members = {"__meta__": b"x"}
        for row in range(2):
            value = 2 * number + row
            key = f"./deep/{'é' * 150}{value}" if value == 3 else f"{value}"
            members[f"{key}.PNG"] = png(value)
            members[f"{key}.cls"] = f"{value % 3}\n".encode()
            members[f"{key}.json"] = json.dumps({"class": "bca"[value % 3], "n": value}).encode()
        shard(tmp_path / f"s-{number:03d}.tar", members)
    return tmp_path


def source(pattern, **settings):
    shards = pattern if isinstance(pattern, list) else str(pattern)
    return open_source("webdataset", {"shards": shards, **settings})


def labels(opened):
    return [sample.label for sample in opened.samples()]


def red(opened):
    return [np.asarray(opened.read(sample.path))[0, 0, 0] for sample in opened.samples()]


@pytest.mark.parametrize("pattern", ["s-{000..002}.tar", "s-*.tar", "{s-000,s-00[12]}.tar"])
def test_shards_are_named_by_braces_and_wildcards(root, pattern):
    assert red(source(root / pattern)) == [0, 1, 2, 3, 4, 5]


def test_a_list_of_shards_keeps_its_order(root):
    patterns = [str(root / "s-001.tar"), str(root / "s-00[02].tar")]
    assert red(open_source("webdataset", {"shards": patterns})) == [2, 3, 0, 1, 4, 5]


def test_the_samples_are_those_of_the_webdataset_library(root):
    with contextlib.ExitStack() as stack:  # the library does not close files
        shards = [stack.enter_context(path.open("rb")) for path in sorted(root.glob("*.tar"))]
        members = tar_file_expander({"url": shard.name, "stream": shard} for shard in shards)
        theirs = list(group_by_keys(members))
    ours = source(root / "*.tar").samples()
    assert len(ours) == len(theirs) == 6
    for sample, expected in zip(ours, theirs, strict=True):
        assert sample.id.endswith(expected["__key__"].removeprefix("./"))
        path, _, place = sample.path.rpartition("@")
        offset, size = map(int, place.split(":"))
        data = Path(path.partition("::")[0]).read_bytes()
        assert data[offset : offset + size] == expected["png"]


def test_an_id_is_shard_and_key_wherever_the_shards_lie(root, tmp_path_factory):
    before = [sample.id for sample in source(root / "*.tar").samples()]
    assert before[0] == "s-000/0"
    assert len(set(before)) == 6
    moved = tmp_path_factory.mktemp("moved") / "x"
    root.rename(moved)
    assert [sample.id for sample in source(moved / "*.tar").samples()] == before


def test_equal_names_in_two_folders_have_ids_of_their_own(tmp_path):
    for folder in "ab":
        shard(tmp_path / folder / "0.tar", {"x.png": png(1)})
    ids = [sample.id for sample in source(tmp_path / "*/0.tar").samples()]
    assert ids == ["a/0/x", "b/0/x"]


@pytest.mark.parametrize(
    ("label", "names", "expected", "expected_names"),
    [
        ("cls", None, [0, 1, 2, 0, 1, 2], ["0", "1", "2"]),
        (".CLS", ["x", "y", "z"], [0, 1, 2, 0, 1, 2], ["x", "y", "z"]),
        ("json:class", None, [1, 2, 0, 1, 2, 0], ["a", "b", "c"]),
        ("json:class", ["c", "b", "a", "d"], [1, 0, 2, 1, 0, 2], ["c", "b", "a", "d"]),
        ("json:n", None, [0, 1, 2, 3, 4, 5], [str(n) for n in range(6)]),
    ],
)
def test_labels_are_those_of_a_member(root, label, names, expected, expected_names):
    opened = source(root / "*.tar", label=label, class_names=names)
    assert list(opened.class_names) == expected_names
    assert labels(opened) == expected


def test_without_label_the_set_is_unlabelled(root):
    assert source(root / "*.tar").class_names is None
    assert set(labels(source(root / "*.tar"))) == {UNLABELLED}


def test_a_null_is_no_label(tmp_path):
    shard(tmp_path / "x.tar", {"a.png": png(0), "a.json": b'{"c": null}'})
    assert labels(source(tmp_path / "x.tar", label="json:c")) == [UNLABELLED]


def test_given_class_names_spare_the_look_into_the_shards(tmp_path):
    (tmp_path / "x.tar").write_text("no tar")
    opened = source(tmp_path / "x.tar", label="cls", class_names=["a", "b"])
    assert list(opened.class_names) == ["a", "b"]


def test_several_images_need_the_name_of_one(tmp_path):
    shard(tmp_path / "x.tar", {"a.jpg": b"", "a.seg.png": png(7), "a.txt": b""})
    with pytest.raises(LpclipError, match=r"'a' has 2 images among its members jpg, seg\.png, txt"):
        source(tmp_path / "x.tar").samples()
    assert red(source(tmp_path / "x.tar", image="seg.png")) == [7]
    with pytest.raises(LpclipError, match=r"no member 'seg'\. Did you mean 'seg\.png'"):
        source(tmp_path / "x.tar", image="seg").samples()


def dotted(names):
    return {f"{name}.{e}": png(0) if e == "jpg" else b"0" for name in names for e in ("jpg", "cls")}


@pytest.mark.parametrize(
    ("names", "settings", "sentence"),
    [
        (["v1.0_a", "v1.0_b"], {}, "'v1' has 2 images among its members 0_a.cls, 0_a.jpg, 0_b"),
        (["1.0", "2.0"], {"label": "cls"}, "'1' has no member 'cls' for its label"),
        (["1.0", "2.0"], {"image": "jpg"}, "'1' has no member 'jpg'"),
    ],
)
def test_what_a_dot_in_a_name_does_is_explained(tmp_path, names, settings, sentence):
    with pytest.raises(LpclipError) as error:
        source(shard(tmp_path / "x.tar", dotted(names)), **settings).samples()
    assert sentence in str(error.value)
    assert "The key of a sample ends at the first dot" in str(error.value)
    assert "Name the ending of one as 'image'" not in str(error.value)


def test_incomplete_samples_are_listed_with_what_they_lack(tmp_path):
    members = {"0.png": png(0), "0.cls": b"0", "1.cls": b"1", "2.png": png(2), "3.json": b"{"}
    opened = source(shard(tmp_path / "x.tar", members), label="cls")
    assert labels(opened) == [0, UNLABELLED, UNLABELLED, UNLABELLED]
    lacking = {path.rpartition("::")[2][:1]: text for path, text in opened.problems().items()}
    assert list(lacking) == ["1", "2", "3"]
    assert "sample '1' has no image among its members cls" in lacking["1"]
    assert "sample '2' has no member 'cls' for its label" in lacking["2"]
    assert not source(shard(tmp_path / "y.tar", {"0.png": png(0)})).problems()


def test_hidden_members_are_no_samples(root):
    before = source(root / "s-000.tar").samples()
    with tarfile.open(root / "s-000.tar", "a") as archive:
        for name in ("deep/._0.png", ".hidden.png", "__MACOSX/a.png"):
            archive.addfile(tarfile.TarInfo(name))
    assert source(root / "s-000.tar").samples() == before


def test_shards_whose_endings_are_numbers_have_ids_of_their_own(tmp_path):
    for number in range(2):
        shard(tmp_path / f"x.tar.{number}", {"a.png": png(number)})
    ids = [sample.id for sample in source(tmp_path / "x.tar.*").samples()]
    assert ids == ["x.tar.0/a", "x.tar.1/a"]


@pytest.mark.parametrize(
    ("pattern", "n"),
    [
        ("a", 1),
        ("{0..9}", 10),
        ("{9..-1..3}", 4),
        ("{000..146}-{a,b,c}", 441),
        ("{train-{0..99},val-{0..9},x}", 111),
        ("{a}{b,{c,d{0..3}}}", 6),
        (r"\{0..9\}{1,2}", 2),
        ("{a..c}{Z..A..2}", 39),
        ("{,x}", 2),
        ("{0..999999999}", 10**9),
    ],
)
def test_paths_are_counted_before_they_are_listed(pattern, n):
    assert _count(pattern) == n
    if n < 1000:
        assert len(list(braceexpand.braceexpand(pattern))) == n


@pytest.mark.parametrize(
    "pattern",
    [
        "{0..999999999}.tar",
        "{0.." + "9" * 300 + "}",
        "{0..9999}{0..9999}",
        "{a,b}" * 60,
        "{x{0..99999}{0..99999},y}",
    ],
)
def test_too_many_shards_are_refused_at_once(pattern):
    with pytest.raises(LpclipError, match=r"means more than 1,000,000 files. Check its braces"):
        source(pattern)


def test_braces_within_braces_without_end_are_a_sentence():
    with pytest.raises(LpclipError, match="do not match, or too many of them"):
        source("{a," * 3000 + "b" + "}" * 3000)


def test_workers_read_the_same(root):
    opened = source(root / "*.tar")
    paths = [sample.path for sample in opened.samples()]
    arrays = DataLoader(_Reader(opened, paths), batch_size=None, num_workers=2)
    assert [int(array[0, 0, 0]) for array in arrays] == [0, 1, 2, 3, 4, 5]


class _Reader:
    def __init__(self, opened, paths):
        self.opened, self.paths = opened, paths

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, row):
        return np.array(self.opened.read(self.paths[row]))


def test_the_shards_are_named_for_the_workflow(root):
    assert [path.name for path in source(root / "s-00{0,2}.tar").files()] == [
        "s-000.tar",
        "s-002.tar",
    ]


@pytest.mark.parametrize(
    ("pattern", "sentence"),
    [
        ("gone-{0..1}.tar", "there is no file 'gone-0.tar'. Check 'shards'"),
        ("x*.gone", "there is no file 'x*.gone'"),
        ("x-{0..1.tar", "has braces that do not match"),
        ("pipe:rm -r x", "are not files"),
        ([], "shards is an empty list"),
    ],
)
def test_patterns_without_shards_are_refused(pattern, sentence):
    with pytest.raises(LpclipError) as error:
        source(pattern)
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda _: b"text " * 300, "cannot be read as a shard"),
        (lambda _: b"", "cannot be read as a shard (empty file)"),
        (lambda data: data[:1000], "cannot be read as a shard"),
        (lambda data: data[: 512 + 20], "it ends within a member"),
        (lambda data: data[:1024] + b"\xff" + data[1025:], "the header at byte 1024 is damaged"),
        (lambda data: b"\x1f\x8b" + data, "is compressed"),
        (lambda data: b"\x28\xb5\x2f\xfd" + data, "is compressed"),
    ],
)
def test_what_is_no_whole_tar_is_refused_by_its_path(tmp_path, damage, sentence):
    path = shard(tmp_path / "x.tar", {"a.png": png(0), "b.png": png(1), "c.png": png(2)})
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(LpclipError) as error:
        source(path).samples()
    assert sentence in str(error.value)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("members", "settings", "sentence"),
    [
        ({"a.txt": b"x"}, {}, "sample 'a' has no image among its members txt"),
        ({"a.png": b"", "a.cl": b""}, {"label": "cls"}, "'cls' for its label. Did you mean 'cl'"),
        ({"a.png": b"", "a.json": b"{"}, {"label": "json:x"}, "its label cannot be read"),
        ({"a.png": b"", "a.json": b'{"y": 1}'}, {"label": "json:x"}, "no field 'x'"),
        ({"a.png": b"", "a.json": b"[1]"}, {"label": "json:x"}, "no field 'x'"),
        ({"a.png": b"", "a.json": b'{"x": 1.5}'}, {"label": "json:x"}, "'x' is 1.5, but a label"),
        ({"a.png": b"", "a.cls": b"\xff"}, {"label": "cls"}, "its label cannot be read"),
        (
            {"a.png": b"", "a.cls": b"dog"},
            {"label": "cls", "class_names": ["dogs", "cat"]},
            "the label 'dog', which is no class name. Did you mean 'dogs'",
        ),
        ({"a.png": b"", "a.PNG": b""}, {}, "duplicate file name"),
        ({"a.png": b""}, {"labels": "cls"}, "no setting 'labels'. Did you mean 'label'"),
    ],
)
def test_samples_that_do_not_fit_are_refused(tmp_path, members, settings, sentence):
    with pytest.raises(LpclipError) as error:
        source(shard(tmp_path / "x.tar", members), **settings).samples()
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("x.tar", "There is no image 'x.tar'"),
        ("gone.tar::a.png@0:5", "cannot be read as an image (no such file or directory)"),
        ("{root}/s-000.tar::a.png@99999:5", "cannot be read as an image (the shard ends before)"),
        ("{root}/s-000.tar::a.png@0:99", "cannot be read as an image (not an image"),
    ],
)
def test_a_path_that_is_no_image_is_refused(root, path, sentence):
    with pytest.raises(LpclipError) as error:
        source(root / "*.tar").read(path.format(root=root))
    assert sentence in str(error.value)
