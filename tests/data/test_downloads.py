"""Downloads from a server on this machine: resumed, checked, complete or absent; known names."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading

import numpy as np
import pytest

from trainwell.data import known, known_names, load
from trainwell.data.download import RemoteFile, download
from trainwell.errors import InputError

CONTENT = np.random.default_rng(0).bytes(300_000)


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; breaks off after ``limits`` bytes, one limit a request, and knows Range if ``ranges``."""

    limits: list[int]
    asked: list[str | None]
    ranges = True

    def do_GET(self):
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        if self.path != "/file":
            self.send_error(404)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        limit = type(self).limits.pop(0) if type(self).limits else len(CONTENT)
        self.wfile.write(CONTENT[start : start + limit])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """The class whose attributes steer it, and its address."""
    Server.limits, Server.asked, Server.ranges = [], [], True
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield Server, f"http://127.0.0.1:{running.server_port}/file"
        running.shutdown()
        thread.join()


def remote(url, content=CONTENT, algorithm="sha256"):
    return RemoteFile("file.bin", (url,), f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_file_arrives_and_is_not_fetched_twice(server, tmp_path, algorithm):
    handler, url = server
    told = []
    for _ in range(2):
        place = download(remote(url, algorithm=algorithm), tmp_path, lambda text, fraction: told.append(fraction))
        assert place.read_bytes() == CONTENT
    assert handler.asked == [None] and told[-1] == 1.0 and not (tmp_path / "file.bin.part").exists()


def test_broken_transfer_is_resumed(server, tmp_path):
    handler, url = server
    handler.limits = [100_000, 50_000]
    assert download(remote(url), tmp_path, wait=0.01).read_bytes() == CONTENT
    assert handler.asked == [None, "bytes=100000-", "bytes=150000-"]


def test_next_run_resumes_too(server, tmp_path):
    handler, url = server
    handler.limits = [100_000]
    with pytest.raises(InputError, match="broke off after 100000 of 300000 bytes"):
        download(remote(url), tmp_path, attempts=1)
    assert not (tmp_path / "file.bin").exists()
    assert download(remote(url), tmp_path, attempts=1).read_bytes() == CONTENT
    assert handler.asked == [None, "bytes=100000-"]


def test_server_without_ranges_starts_over(server, tmp_path):
    handler, url = server
    handler.limits, handler.ranges = [100_000], False
    assert download(remote(url), tmp_path, wait=0.01).read_bytes() == CONTENT


def test_wrong_checksum_is_refused_and_removed(server, tmp_path):
    _, url = server
    with pytest.raises(InputError, match=r"its sha256 is .*, published is .*put it at .*file\.bin"):
        download(remote(url, b"other"), tmp_path, wait=0.01)
    assert list(tmp_path.iterdir()) == []


def test_no_server_says_what_to_put_where(tmp_path, server):
    _, url = server
    with pytest.raises(InputError, match="the server answers 404"):
        download(remote(url + "s"), tmp_path)
    with pytest.raises(InputError) as caught:
        download(remote("http://127.0.0.1:9/file"), tmp_path, attempts=1)
    assert str(tmp_path / "file.bin") in caught.value.remedy and "http://127.0.0.1:9/file" in caught.value.remedy


def cifar_archive(label_bytes=1):
    """A small archive like CIFAR's, with a member that tries to leave the folder."""
    rng = np.random.default_rng(1)
    records = rng.integers(0, 2, (30, label_bytes + 3072), dtype=np.uint8)
    members = {
        "../../escaped.bin": b"x",
        "cifar/test_batch.bin" if label_bytes == 1 else "cifar/test.bin": records[20:].tobytes(),
        "cifar/data_batch_1.bin" if label_bytes == 1 else "cifar/train.bin": records[:20].tobytes(),
        "cifar/batches.meta.txt" if label_bytes == 1 else "cifar/fine_label_names.txt": b"airplane\nautomobile\n\n",
    }
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return stream.getvalue(), records


@pytest.mark.parametrize(("label_bytes", "name"), [(1, "cifar-10-binary.tar.gz"), (2, "cifar-100-binary.tar.gz")])
def test_cifar_archive_is_read_without_extraction(tmp_path, label_bytes, name):
    content, records = cifar_archive(label_bytes)
    (tmp_path / "deep" / "down").mkdir(parents=True)
    path = tmp_path / "deep" / "down" / name
    path.write_bytes(content)
    dataset = load(path)
    np.testing.assert_array_equal(dataset.X.reshape(30, -1), records[:, label_bytes:])
    np.testing.assert_array_equal(dataset.y, records[:, label_bytes - 1])
    assert dataset.classes == ("airplane", "automobile") and len(dataset.splits.test) == 10
    assert sorted(file.name for file in tmp_path.rglob("*") if file.is_file()) == [name]
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is damaged"):
        load(path)


def test_known_name_is_looked_for_then_downloaded(server, tmp_path, monkeypatch):
    _, url = server
    content, records = cifar_archive()
    monkeypatch.setattr("test_downloads.CONTENT", content)
    monkeypatch.setenv("TRAINWELL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("TRAINWELL_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    archive = RemoteFile("cifar-10-binary.tar.gz", (url,), f"md5:{hashlib.md5(content).hexdigest()}")
    monkeypatch.setitem(known.KNOWN, "cifar10", known.Known("cifar10", (archive,), source="test"))
    dataset = load("cifar10")
    assert len(dataset) == 30 and dataset.name == "cifar10" and dataset.provenance["published"] == "test"
    assert (tmp_path / "cache" / "downloads" / "cifar10" / archive.name).is_file()
    rows = dataset.schema.read("cifar10")
    np.testing.assert_array_equal(rows.X.reshape(10, -1), records[20:, 1:])


def test_half_a_download_is_not_taken_for_the_whole(tmp_path, monkeypatch):
    rows = np.zeros((6, 2, 2), np.uint8), np.arange(6, dtype=np.uint8) % 2
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRAINWELL_DATA", raising=False)
    (tmp_path / "mnist").mkdir()
    for what, values in zip(("images-idx3", "labels-idx1"), rows, strict=True):
        sizes = np.array(values.shape, ">i4").tobytes()
        content = gzip.compress(b"\0\0\x08" + bytes([values.ndim]) + sizes + values.tobytes())
        (tmp_path / "mnist" / f"train-{what}-ubyte.gz").write_bytes(content)
    gone = RemoteFile("t10k-images-idx3-ubyte.gz", ("http://127.0.0.1:9/x",), "md5:0")
    files = tuple(RemoteFile(f"train-{what}-ubyte.gz", (), "") for what in ("images-idx3", "labels-idx1"))
    monkeypatch.setitem(known.KNOWN, "mnist", known.Known("mnist", (*files, gone)))
    monkeypatch.setattr("trainwell.data.download.download.__kwdefaults__", {"attempts": 1, "wait": 0.0})
    with pytest.raises(InputError, match=r"t10k-images-idx3-ubyte\.gz could not be downloaded"):
        load("mnist", data_root=tmp_path)


def test_digits_are_scikit_learn_s():
    from sklearn.datasets import load_digits

    dataset, (X, y) = load("digits"), load_digits(return_X_y=True)
    np.testing.assert_array_equal(dataset.X.reshape(-1, 64), np.rint(X * 255 / 16))
    np.testing.assert_array_equal(dataset.y, y)
    assert dataset.schema.shape == (1, 8, 8) and dataset.classes == tuple("0123456789")
    rows = dataset.schema.read("digits")
    np.testing.assert_array_equal(rows.X, dataset.X)
    np.testing.assert_array_equal(rows.y, dataset.y)


def test_nearest_names_are_proposed(tmp_path):
    with pytest.raises(InputError, match=r"Did you mean 'digits'"):
        load("digit")
    (tmp_path / "houses.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match=r"Did you mean .*houses\.csv"):
        load(tmp_path / "house.csv")
    with pytest.raises(InputError, match="no file or folder"):
        load(tmp_path / "nowhere" / "x")
    with pytest.raises(InputError, match="No data are named"):
        load("")
    assert known_names() == ["cifar10", "cifar100", "digits", "fashion-mnist", "mnist"]


def test_importing_the_room_is_light():
    import subprocess
    import sys

    heavy = "{'torch', 'pyarrow', 'PIL', 'sklearn'}"
    code = f"import sys, trainwell.data as d; d.load, d.statistics, d.Schema; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"
