"""Shards at an address: read by ranges, over passing errors; the same samples as from files."""

import http.server
import io
import json
import socket
import tarfile
import threading
from collections import Counter

import fsspec
import numpy as np
import pytest
from PIL import Image

from lpclip.data import remote
from lpclip.data.index import index_samples
from lpclip.data.registry import open_source
from lpclip.errors import LpclipError
from lpclip.features.parallel import in_groups
from lpclip.storage.marks import marks_at
from lpclip.storage.samples import read_samples

pytest.importorskip("aiohttp")
NAMES = ["a", "b"]
SETTINGS = {"label": "cls", "class_names": NAMES}


class Handler(http.server.BaseHTTPRequestHandler):
    """Serve files of ``server.folder``: ranges, after the faults in ``server.faults``."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def answer(self, *, body):
        asked = self.headers.get("Range")
        self.server.asked.append((self.command, self.path, asked))
        fault = self.server.faults.pop(0) if body and asked and self.server.faults else None
        if fault == "reset":
            self.connection.shutdown(socket.SHUT_RDWR)
            self.close_connection = True
            return
        path = self.server.folder / self.path.split("?")[0].lstrip("/")
        status = fault or (200 if path.is_file() else 404)
        data = path.read_bytes() if status == 200 else b""
        whole = len(data)
        if status == 200 and asked and self.server.ranges:
            first, last = map(int, asked.removeprefix("bytes=").split("-"))
            status, data = 206, data[first : last + 1]
        self.send_response(status)
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{first + len(data) - 1}/{whole}")
        if status == 200:
            self.send_header("ETag", f'"{hash(data)}"')
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self.server.sent += len(data)
            self.wfile.write(data)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.setattr(remote, "WAITS", (0, 0, 0, 0))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as found:
        found.folder = tmp_path / "served"
        found.asked, found.faults, found.ranges, found.sent = [], [], True, 0
        found.address = f"http://127.0.0.1:{found.server_address[1]}"
        thread = threading.Thread(target=found.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        for number in range(2):
            write_shard(found.folder / f"sets/s-{number}.tar", number)
        yield found
        found.shutdown()
        thread.join()


def write_shard(path, number, *, side=300):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(number).integers(0, 256, (3, side, side, 3), dtype=np.uint8)
    with tarfile.open(path, "w") as archive:
        for row, image in enumerate(pixels):
            buffer = io.BytesIO()
            Image.fromarray(image).save(buffer, "png")
            for ending, data in (("cls", b"%d" % (row % 2)), ("png", buffer.getvalue())):
                info = tarfile.TarInfo(f"{row}.{ending}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))


def source(shards, **settings):
    return open_source("webdataset", {"shards": shards, **SETTINGS, **settings})


def from_files(server):
    return source(str(server.folder / "sets/s-{0..1}.tar"))


def images(opened):
    return [(one.id, one.label, opened.encoded(one.path)) for one in opened.samples()]


def refused(act):
    with pytest.raises(LpclipError) as error:
        act()
    return str(error.value)


def test_samples_of_a_web_server_are_those_of_the_files(server):
    assert images(source(f"{server.address}/sets/s-{{0..1}}.tar")) == images(from_files(server))
    with_query = source(f"{server.address}/sets/s-{{0..1}}.tar?version=2")
    assert images(with_query) == images(from_files(server))


def test_samples_of_a_bucket_are_those_of_the_files(server, monkeypatch):
    """Where s3fs and moto[server] are installed."""
    pytest.importorskip("s3fs")
    bucket = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", port=0)
    bucket.start()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{bucket.get_host_and_port()[1]}")
    files = fsspec.filesystem("s3")
    files.mkdir("s3://shards")
    files.put(str(server.folder / "sets"), "s3://shards/", recursive=True)
    for pattern in ("s-{0..1}.tar", "s-*.tar"):
        assert images(source(f"s3://shards/sets/{pattern}")) == images(from_files(server))
    bucket.stop()


def test_an_index_of_addresses_has_the_rows_of_one_of_files(server, tmp_path):
    tables = []
    for place in (str(server.folder), server.address):
        settings = {"kind": "webdataset", "shards": f"{place}/sets/s-{{0..1}}.tar", **SETTINGS}
        output = tmp_path / f"{len(tables)}.h5"
        index_samples(output=output, dataset="d", source=settings)
        tables.append(read_samples(output, labels=True).drop(columns="path"))
    assert tables[0].equals(tables[1])


def test_an_image_is_one_request_for_its_bytes(server):
    opened = source(f"{server.address}/sets/s-0.tar")
    sample = opened.samples()[1]
    server.asked.clear()
    data = opened.encoded(sample.path)
    assert len(data) == opened.size(sample.path)
    first = int(sample.path.rpartition("@")[2].partition(":")[0])
    asked = f"bytes={first}-{first + len(data) - 1}"
    assert server.asked == [("GET", "/sets/s-0.tar", asked)]


def test_a_listing_reads_headers_and_not_the_images(server):
    write_shard(server.folder / "large.tar", 0, side=900)
    assert len(source(f"{server.address}/large.tar").samples()) == 3
    assert 0 < server.sent < 0.1 * (server.folder / "large.tar").stat().st_size


def test_worker_processes_open_connections_of_their_own(server):
    opened = source(f"{server.address}/sets/s-0.tar")
    paths = [sample.path for sample in opened.samples()]  # this process has a connection now

    def read(rows):
        return [opened.encoded(paths[row]) for row in rows]

    (found,) = in_groups(read, lambda: iter([range(3)]), workers=1, ahead=0)
    assert found == [[opened.encoded(path) for path in paths]]


@pytest.mark.parametrize("faults", [[503, 503], ["reset"], [429, "reset", 500]])
def test_errors_that_pass_are_attempted_again(server, faults):
    opened = source(f"{server.address}/sets/s-0.tar")
    path = opened.samples()[0].path
    expected = opened.encoded(path)
    server.faults = faults
    assert opened.encoded(path) == expected
    assert not server.faults


def test_a_server_that_stays_down_is_named_after_several_attempts(server):
    opened = source(f"{server.address}/sets/s-0.tar")
    path = opened.samples()[0].path
    server.faults, server.asked = [503] * 9, []
    text = refused(lambda: opened.encoded(path))
    assert f"{server.address}/sets/s-0.tar cannot be read (503" in text
    assert "after 5 attempts). Check the network and the server, then run again." in text
    assert len(server.asked) == 5


@pytest.mark.parametrize(
    ("status", "sentence"), [(404, "There is no such file."), (403, "Access is denied.")]
)
def test_errors_that_stay_are_not_attempted_again(server, status, sentence):
    opened = source(f"{server.address}/sets/s-0.tar")
    path = opened.samples()[0].path
    server.faults, server.asked = [status] * 9, []
    assert sentence in refused(lambda: opened.encoded(path))
    assert len(server.asked) == 1


def test_a_shard_that_is_not_there_or_is_cut_is_refused(server):
    missing = source(f"{server.address}/gone.tar")
    assert "/gone.tar cannot be read" in refused(missing.samples)
    whole = (server.folder / "sets/s-0.tar").read_bytes()
    (server.folder / "cut.tar").write_bytes(whole[:300_000])
    cut = source(f"{server.address}/cut.tar")
    assert "cannot be read as a shard (it ends within a member)" in refused(cut.samples)


def test_a_server_without_ranges_is_refused(server):
    path = source(f"{server.address}/sets/s-0.tar").samples()[0].path
    server.ranges, server.asked = False, []
    opened = source(f"{server.address}/sets/s-0.tar")
    text = refused(lambda: opened.encoded(path))
    assert "The server does not send parts of files" in text
    assert len(server.asked) == 1


def test_nobody_listens(server):
    server.shutdown()
    server.server_close()
    opened = source(f"{server.address}/sets/s-0.tar")
    assert "Check the network and the server" in refused(opened.samples)


def test_wildcards_are_listed_where_the_file_system_can(server):
    memory = fsspec.filesystem("memory")
    for number in range(2):
        memory.pipe(f"/sets/s-{number}.tar", (server.folder / f"sets/s-{number}.tar").read_bytes())
    assert images(source("memory://sets/s-*.tar")) == images(from_files(server))
    assert "there is no such file" in refused(lambda: source("memory://sets/t-*.tar"))
    assert "web servers do not list" in refused(lambda: source(f"{server.address}/s-*.tar"))


@pytest.mark.parametrize(
    ("address", "settings", "sentence"),
    [
        ("https://me:word@a.org/s.tar", {}, "The address of a.org has a name or password"),
        ("none://a/s.tar", {}, "none://a/s.tar cannot be read (Protocol not known: none"),
        ("memory://s.tar", {"class_names": None}, "Name them in 'class_names'"),
    ],
)
def test_addresses_that_cannot_be_are_refused_early(address, settings, sentence):
    assert sentence in refused(lambda: source(address, **settings))


@pytest.mark.parametrize(
    ("address", "command"),
    [
        ("https://a.org/s.tar", "pip install 'lpclip[remote]'"),
        ("s3://bucket/s.tar", "pip install s3fs"),
        ("odd://a/s.tar", "Install odd to access it). Install the package that is named here."),
    ],
)
def test_a_package_that_is_missing_is_named(monkeypatch, address, command):
    def without(_):
        raise ImportError("Install odd to access it")

    monkeypatch.setattr("fsspec.core.url_to_fs", without)
    assert command in refused(lambda: source(address))


def test_a_replaced_shard_has_another_mark(server):
    address = f"{server.address}/sets/s-0.tar"
    before = remote.mark_of(address)
    assert remote.mark_of(address) == before
    write_shard(server.folder / "sets/s-0.tar", 7)
    assert remote.mark_of(address) != before


def test_a_server_is_asked_for_marks_once_and_may_be_away_later(tmp_path):
    known, asked = tmp_path / "marks.json", Counter()

    def ask(address):
        asked[address] += 1
        return f"mark of {address}"

    def away(address):
        raise LpclipError(f"{address} is away")

    expected = {name: f"mark of {name}" for name in ("x://a", "x://b")}
    for _ in range(3):
        assert marks_at(["x://a", "x://b"], ask, known=known) == expected
    assert asked == {"x://a": 1, "x://b": 1}
    entries = {name: [0, mark] for name, (_, mark) in json.loads(known.read_text()).items()}
    known.write_text(json.dumps(entries))  # of long ago
    assert marks_at(["x://a", "x://b"], away, known=known) == expected
    assert marks_at(["x://a"], ask, known=known) == {"x://a": "mark of x://a"}
    assert asked["x://a"] == 2
