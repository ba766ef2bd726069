"""The same images on a local disk, in an object store (fsspec's in memory) and on a web server are the same rows."""

from __future__ import annotations

import functools
import http.server
import io
import shutil
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import fsspec
import numpy as np
import pytest

from steepslope.cli.main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.data.images import Divisible
from steepslope.nets.data.specs import parse_data
from steepslope.nets.data.transforms import decoded_or_reason, unreadable_image
from steepslope.nets.data.webdataset_data import Sample, ShardImages
from steepslope.outputs import ClassifierOutputs
from tests.images import PIXELS, opened, png, write_shard

NAMES = ["z.png", "a b/1 ü#%.png", "a b/deeper/0.png", "a b/deeper/q?m.JPG", "c/0.png"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    home = tmp_path / "photos"
    for name, pixels in zip(NAMES, PIXELS, strict=False):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_bytes(png(pixels))
    (home / "c" / ".hidden.png").write_bytes(b"")
    (home / "c" / "words.txt").write_text("no image")
    return home


@pytest.fixture
def store(photos: Path) -> Iterator[str]:
    """Copy the folder into fsspec's file system in memory."""
    place = f"memory://{uuid.uuid4().hex}"
    system, path = fsspec.core.url_to_fs(place)
    for file in photos.rglob("*"):
        if file.is_file():
            system.pipe(f"{path}/{file.relative_to(photos)}", file.read_bytes())
    yield place
    system.rm(path, recursive=True)


class Silent(http.server.SimpleHTTPRequestHandler):
    """A server of files that writes no log."""

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    handler = functools.partial(Silent, directory=str(photos))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as served:
        thread = threading.Thread(target=served.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{served.server_port}/"
        served.shutdown()
        thread.join()


def test_a_store_has_the_rows_of_the_folder(photos: Path, store: str) -> None:
    local, remote = opened(f"images:{photos}"), opened(f"images:{store}")
    assert [*remote.ids] == [*local.ids] == NAMES
    assert remote.labels is None
    assert remote.fingerprint(verify=True) == local.fingerprint(verify=True)
    for row in range(len(NAMES)):
        np.testing.assert_array_equal(np.asarray(remote.image(row)), np.asarray(local.image(row)))
    assert isinstance(remote, Divisible)
    part = remote.subset(np.array([3, 1]))
    assert [*part.ids] == [NAMES[3], NAMES[1]]
    np.testing.assert_array_equal(np.asarray(part.image(1)), np.asarray(local.image(1)))
    assert opened(f"images:file://{photos}").fingerprint() == local.fingerprint()


def test_class_folders_in_a_store(photos: Path, store: str) -> None:
    local, remote = opened(f"imagefolder:{photos}"), opened(f"imagefolder:{store}")
    assert [*remote.ids] == [*local.ids]
    np.testing.assert_array_equal(remote.labels, local.labels)
    assert (remote.classes, remote.fingerprint(verify=True)) == (local.classes, local.fingerprint(verify=True))
    assert remote.classes == ("a b", "c")


def test_a_web_server_is_read_by_worker_processes_too(photos: Path, server: str, tmp_path: Path) -> None:
    assert [*opened(f"images:{server}").ids] == NAMES
    words = ["extract", "--classifier", "module:tests.tiny_nets:tiny", "--evidence", "none", "--batch-size", "2"]
    for name, data in {"local": f"images:{photos}", "remote": f"images:{server}"}.items():
        assert main([*words, "--data", data, "--workers", "1", "--out", str(tmp_path / name)]) == 0
    local, remote = (ClassifierOutputs.load(tmp_path / name) for name in ("local", "remote"))
    np.testing.assert_array_equal(local.logits, remote.logits)
    assert [*remote.require("ids")] == NAMES


def test_secrets_of_an_image_that_cannot_be_read_are_in_no_error(server: str, tmp_path: Path) -> None:
    place = server.replace("://", "://me:secret@")
    (tmp_path / "files.csv").write_text(f"path\n{place}no.png?signature=secret\n{place}c/words.txt?signature=secret\n")
    data = opened(f"paths:{tmp_path}/files.csv")
    assert [*data.ids] == [f"{server}no.png", f"{server}c/words.txt"]
    for row in range(2):
        reason = decoded_or_reason(data, row, lambda picture: picture)
        assert isinstance(reason, str)
        assert "secret" not in reason + str(unreadable_image(data, row, reason))
    assert str(parse_data(f"images:{place}a?signature=secret")) == f"images:{server}a"


def test_arrays_and_shards_in_a_store(photos: Path, store: str) -> None:
    system, path = fsspec.core.url_to_fs(store)
    stream = io.BytesIO()
    np.save(stream, PIXELS[0])
    system.pipe(f"{path}/arrays/0.npy", stream.getvalue())
    np.testing.assert_array_equal(np.asarray(opened(f"images:{store}/arrays").image(0)), PIXELS[0])
    for number in range(2):
        write_shard(photos / f"{number}.tar", {f"{number}/a b.png": png(PIXELS[number]), "x.png": png(PIXELS[2])})
        system.pipe(f"{path}/{number}.tar", (photos / f"{number}.tar").read_bytes())
    local = opened(f"wds:{photos}/*.tar")
    assert [*local.ids] == ["0.tar/0/a b", "0.tar/x", "1.tar/1/a b", "1.tar/x"]
    for pattern in (f"{store}/{{0..1}}.tar", f"{store}/*.tar"):
        remote = opened(f"wds:{pattern}")
        assert [*remote.ids] == [*local.ids]
        assert remote.fingerprint(verify=True) == local.fingerprint(verify=True)
        np.testing.assert_array_equal(np.asarray(remote.image(2)), PIXELS[1])
        assert isinstance(remote, Divisible)
        assert [*remote.subset(np.array([2])).ids] == ["1.tar/1/a b"]
    with pytest.raises(SteepslopeError, match=r"no such file: .*2\.tar"):
        opened(f"wds:{store}/2.tar")


def test_shards_of_one_name_in_two_folders(photos: Path) -> None:
    """Ids tell them apart, also where a part of the rows comes from one folder alone."""
    for folder in ("a b", "c"):
        write_shard(photos / folder / "0.tar", {"x.png": png(PIXELS[0])})
    data = opened(f"wds:{photos}/{{a b,c}}/0.tar")
    assert [*data.ids] == [f"{photos}/a b/0.tar/x", f"{photos}/c/0.tar/x"]
    assert isinstance(data, Divisible)
    assert [*data.subset(np.array([1])).ids] == [f"{photos}/c/0.tar/x"]
    with pytest.raises(SteepslopeError, match=r"expected each shard once, found .*/c/0\.tar 2 times"):
        opened(f"wds:{photos}/{{c,c}}/0.tar")


@pytest.mark.parametrize(
    ("folders", "shards"), [("ab", ["https://host/a/0.tar", "https://host/b/0.tar"]), ("a", ["0.tar"])]
)
def test_ids_of_shards_hold_no_secrets(folders: str, shards: list[str]) -> None:
    samples = [Sample(f"https://me:secret@host/{folder}/0.tar?sig=a/b", "x", 0, 1, None) for folder in folders]
    assert ShardImages.of(samples, None).ids == [f"{shard}/x" for shard in shards]


def test_what_is_not_there_is_one_line(store: str, photos: Path) -> None:
    messages = {
        f"images:{store}/none": "expected files below it, found none",
        f"images:{store}/c/words.txt": "expected files below it, found none",
        "images:s3://bucket/photos": "Install s3fs to access S3",
        "images:nowhere://bucket": "Protocol not known: nowhere",
        f"images:file://{photos}/none": "no such folder",
        "images:http://127.0.0.1:9/none/": "expected files below it, found none",
    }
    for spec, message in messages.items():
        with pytest.raises(SteepslopeError, match=message) as error:
            parse_data(spec).look().open()
        assert "\n" not in str(error.value)
    shutil.rmtree(photos / "a b")
    system, path = fsspec.core.url_to_fs(store)
    system.rm([f"{path}/z.png", f"{path}/a b", f"{path}/c/0.png"], recursive=True)
    with pytest.raises(SteepslopeError, match=r"expected images \(\.bmp.*found none"):
        opened(f"images:{store}")
    system.pipe(f"{path}/shift.json", b"{}")
    with pytest.raises(SteepslopeError, match=r"found shifted ones \(shift\.json\)"):
        opened(f"images:{store}")
