"""A flipped bit in any array of any kind of file is detected on reading and by verify."""

import shutil
import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest

import lpclip
from lpclip.cli.command import main
from lpclip.errors import LpclipError
from lpclip.methods.labelling.pseudo_labels import pseudo_labels
from lpclip.methods.labelling.settings import Labelling
from lpclip.methods.training.rounds import Round, rounds_table
from lpclip.methods.training.streaming import stream_cache
from lpclip.storage import checksums
from lpclip.storage.arrays.registry import open_arrays
from lpclip.storage.features import normalise, read_features, read_versions, write_features
from lpclip.storage.hdf5 import create
from lpclip.storage.probes import Probes, read_probes, write_probes
from lpclip.storage.samples import fingerprint, read_samples
from lpclip.storage.tables import write_table
from lpclip.storage.text import read_head, write_text
from lpclip.storage.verify import verify

N, D, C = 7, 5, 3
SAMPLES = pd.DataFrame(
    {
        "id": [f"s{i}" for i in range(N)],
        "path": [f"{i}.png" for i in range(N)],
        "label": np.int32([0, 1, 2, 0, 1, 2, 0]),
    }
)
MODEL = {"model": "tiny", "weights": "3f9a"}
LABELLING = Labelling(temperature=1.0, structure=0.0, prior="none")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Write one file of every kind, named after its kind."""
    folder = tmp_path_factory.mktemp("whole")
    rng = np.random.default_rng(0)
    index = {"dataset": "d", "index": fingerprint(SAMPLES)}
    with create(folder / "samples.h5", kind="samples", provenance=index) as file:
        write_table(file, "samples", SAMPLES)
        write_table(file, "skipped", SAMPLES[["id", "path"]], listed=False)
    write_features(
        folder / "features.h5",
        samples=SAMPLES,
        versions={"weak": 0, "fog": 3},
        parts=[rng.normal(size=(4, N, D)).astype(np.float16)],
        provenance={**MODEL, **index},
    )
    text = normalise(rng.normal(size=(C, D)).astype(np.float32))
    model = {**MODEL, "scale": 10.0, "bias": 0.0}
    write_text(folder / "text.h5", features=text, class_names=["a", "b", "c"], provenance=model)
    pseudo_labels(
        text=folder / "text.h5",
        features=folder / "features.h5",
        output=folder / "pseudo_labels.h5",
        labelling=LABELLING,
    )
    probes = Probes(
        weight=rng.normal(size=(2, 1, C, D)).astype(np.float32),
        bias=rng.normal(size=(2, 1, C)).astype(np.float32),
        scale=1.0,
        class_names=("a", "b", "c"),
        seeds=(0,),
        rounds=rounds_table([Round(0, 0), Round(1, 0, coverage=0.5)]),
        pseudo_labels=rng.integers(0, C, (2, 1, N)).astype(np.int32),
        selected=rng.random((2, 1, N)) < 0.5,
        guard=pd.DataFrame({"strength": [0.0, 1.0], "decision": ["keep", "stop"]}),
        labels_seen=rng.random((1, N)) < 0.5,
        member_weight=rng.normal(size=(1, 2, C, D)).astype(np.float32),
        member_bias=rng.normal(size=(1, 2, C)).astype(np.float32),
    )
    write_probes(folder / "probes.h5", probes, MODEL)
    with create(folder / "predictions.h5", kind="predictions", provenance={}) as file:
        file.create_group("tiny/digits").attrs["class_names"] = '["a", "b", "c"]'
        write_table(file, "tiny/digits/seed_0", SAMPLES)
    return folder


def flip(path, array, bit, tmp_path):
    """Copy a file and flip one bit of an array in place, without HDF5."""
    with h5py.File(path) as file:
        data = file[array]
        chunk = data.id.get_chunk_info(0) if data.chunks else None
        start = chunk.byte_offset if chunk else data.id.get_offset()
        size = data.size * data.dtype.itemsize
    changed = bytearray(path.read_bytes())
    place = start + bit // 8 % size
    changed[place] ^= 1 << bit % 8
    copy = tmp_path / path.name
    copy.write_bytes(changed)
    return copy


READERS = {
    "samples": {"samples/table": lambda path: read_samples(path, labels=True)},
    "features": {
        "features/weak": lambda path: read_features(path, "weak", expected={}),
        "features/fog": lambda path: read_features(path, "fog", expected={}),
        "samples": lambda path: lpclip.read_frame(path, view="weak"),
    },
    "text": {"features": read_head, "classes": read_head},
    "pseudo_labels": {
        "probabilities": lpclip.read_frame,
        "pseudo_labels/table": lpclip.read_frame,
    },
    "probes": dict.fromkeys(
        [
            "weight", "bias", "rounds/table", "pseudo_labels", "selected", "guard/table",
            "labels_seen", "member_weight", "member_bias",
        ],
        read_probes,
    ),
}  # fmt: skip
PLACES = [(kind, array) for kind, found in READERS.items() for array in found]


@pytest.mark.parametrize(("kind", "array"), PLACES)
def test_a_flipped_bit_is_refused_by_whoever_reads_the_array(kind, array, whole, tmp_path):
    read = READERS[kind][array]
    read(whole / f"{kind}.h5")
    for bit in (0, 77):
        path = flip(whole / f"{kind}.h5", array, bit, tmp_path)
        with pytest.raises(LpclipError, match=rf"{kind}\.h5 is damaged: the array '{array}'"):
            read(path)


def test_a_flipped_bit_in_any_array_of_any_kind_is_found_by_verify(whole, tmp_path):
    files = sorted(whole.glob("*.h5"))
    assert len(files) == 6
    for path in files:
        with h5py.File(path) as file:
            names = list(checksums.arrays(file))
        (found,) = verify([path])
        assert (found.n_arrays, found.damages) == (len(names), [])
        for name in names:
            (found,) = verify([flip(path, name, 13, tmp_path)])
            assert len(found.damages) == 1
            assert f"{path.name} is damaged: the array '{name}'" in found.damages[0]


def test_all_arrays_have_a_checksum_but_for_views_of_others(whole):
    for path in whole.glob("*.h5"):
        with h5py.File(path) as file:
            without = []

            def visit(_name, item, without=without):
                if isinstance(item, h5py.Dataset) and checksums.SUMS not in item.attrs:
                    without.append(item.is_virtual)

            file.visititems(visit)
        assert all(without)


def test_a_flipped_bit_in_one_version_is_refused_where_that_version_is_read(whole, tmp_path):
    last = 8 * (3 * N * D * 2 - 1)
    path = flip(whole / "features.h5", "features/fog", last, tmp_path)
    lpclip.read_frame(path, view="fog", version=1)
    with pytest.raises(LpclipError, match=r"'features/fog' \(version 2\)"):
        lpclip.read_frame(path, view="fog", version=2)
    with pytest.raises(LpclipError, match=r"'features/fog' \(version 2\)"):
        open_arrays(str(path)).features("fog/2")
    with pytest.raises(LpclipError, match=r"'features/fog' \(version 2\)"):
        read_features(path, "fog", expected={})
    stream_cache(path, [("fog", 0), ("weak", 0)], expected=MODEL, memory_gb=1)
    with pytest.raises(LpclipError, match=r"'features/fog' \(version 2\)"):
        stream_cache(path, [("fog", 0), ("fog", 2)], expected=MODEL, memory_gb=1)
    sound = read_versions(path, [("fog", 1), ("weak", 0)], expected=MODEL)
    np.testing.assert_array_equal(
        sound[0], read_versions(whole / "features.h5", [("fog", 1)], expected={})[0]
    )
    np.testing.assert_array_equal(sound[1], read_features(path, "weak", expected={}))
    with pytest.raises(LpclipError, match=r"'features/fog' \(version 2\)"):
        read_versions(path, [("fog", 1), ("fog", 2)], expected=MODEL)


@pytest.mark.parametrize(
    ("kind", "group", "name"),
    [("text", "/", "weights"), ("predictions", "tiny/digits", "class_names")],
)
def test_a_changed_attribute_is_found_by_verify(kind, group, name, whole, tmp_path):
    path = tmp_path / "changed.h5"
    shutil.copy(whole / f"{kind}.h5", path)
    with h5py.File(path) as file:
        value = file[group].attrs[name].encode()
    content = path.read_bytes()
    assert content.count(value) == 1
    place = content.index(value)
    path.write_bytes(content[:place] + bytes([value[0] ^ 1]) + content[place + 1 :])
    (found,) = verify([path])
    assert "the checksum of its attributes differs" in found.damages[0]


def test_the_command_lists_what_is_whole_and_what_is_not(whole, tmp_path, capsys):
    folder = tmp_path / "cache"
    shutil.copytree(whole, folder)
    flip(whole / "text.h5", "features", 5, folder)
    (folder / "probes.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (folder / ".new.h5").write_bytes(b"being written")
    with pytest.raises(SystemExit) as stopped:
        main(["verify", str(folder)])
    printed = capsys.readouterr()
    assert stopped.value.code == 1
    assert f"{folder}/features.h5: whole, 5 arrays" in printed.out
    assert "text.h5" not in printed.out
    assert "not all of the 6 files are whole" in printed.err
    assert f"{folder}/text.h5 is damaged: the array 'features' is not as written" in printed.err
    assert f"{folder}/probes.h5 is damaged" in printed.err
    assert "Traceback" not in printed.err
    main(["verify", str(folder / "samples.h5"), str(folder / "features.h5")])


def test_what_is_not_there_is_a_sentence(tmp_path):
    with pytest.raises(LpclipError, match=r"gone\.h5 does not exist"):
        verify([tmp_path / "gone.h5"])
    with pytest.raises(LpclipError, match=r"no files that end in \.h5"):
        verify([tmp_path])


def test_a_file_without_checksums_is_reported_as_such(tmp_path, capsys):
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.attrs.update({"kind": "text", "schema_version": 1, "complete": 1})
        file["features"] = np.eye(3)
    main(["verify", str(tmp_path)])
    assert "old.h5: without checksums" in capsys.readouterr().out


def test_the_sum_does_not_depend_on_the_blocks_it_is_made_from(tmp_path, monkeypatch):
    values = np.random.default_rng(0).normal(size=(2, 3, 40, 6)).astype(np.float32)
    found = []
    for number, block in enumerate((1 << 22, 100)):
        monkeypatch.setattr(checksums, "_BLOCK", block)
        with h5py.File(tmp_path / f"{number}.h5", "w") as file:
            for ndim, array in enumerate((values[0, 0, 0, 0], values[0, 0], values[0], values)):
                file[str(ndim)] = array
            checksums.seal(file)
            found.append({name: data.attrs["xxh3_64"].tolist() for name, data in file.items()})
            assert all(np.array_equal(checksums.read(data), data[...]) for data in file.values())
    assert found[0] == found[1]
    assert [len(sums) for sums in found[0].values()] == [1, 1, 3, 2]


def test_type_and_shape_are_part_of_the_sum(tmp_path):
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file["a"], file["b"] = np.zeros((2, 3), np.float32), np.zeros((3, 2), np.float32)
        file["c"] = np.zeros((2, 3), np.int32)
        checksums.seal(file)
        assert len({int(data.attrs["xxh3_64"][0]) for data in file.values()}) == 3


def test_verifying_takes_little_memory(tmp_path):
    n, dim = 20_000, 512
    ids = [f"{i}" for i in range(n)]
    path = tmp_path / "large.h5"
    write_features(
        path,
        samples=pd.DataFrame({"id": ids, "path": ids}),
        versions={"clean": 0},
        parts=(np.ones((1, 1000, dim), np.float16) for _ in range(n // 1000)),
        provenance={},
    )
    tracemalloc.start()
    (found,) = verify([path])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert not found.damages
    assert peak < 12 << 20 < n * dim * 2
