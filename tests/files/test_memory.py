"""How much memory is left, and what is refused before it is unpacked."""

from __future__ import annotations

import gzip
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from steepslope.errors import SteepslopeError
from steepslope.files import _memory as memory
from steepslope.files._memory import free_memory
from steepslope.nets.data._benchmark_sets import _read_idx
from steepslope.nets.data._images import decode_image
from steepslope.outputs._options import ReadingOptions
from steepslope.outputs._table import TableBlocks

GIBI = 1 << 30


@pytest.mark.skipif(sys.platform != "linux", reason="limits of the address space are Linux's")
def test_a_limit_of_the_address_space_is_seen() -> None:
    code = "from steepslope.files._memory import free_memory; print(free_memory())"
    limited = subprocess.run(
        ["prlimit", f"--as={2 * GIBI}", sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert 0 < float(limited.stdout) < 2 * GIBI
    assert free_memory() > 0


@pytest.mark.parametrize("limited", ["", "system.slice", "system.slice/gate.service"])
def test_a_limit_of_a_control_group_is_seen(limited: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The root's is a container's; a service has a group of its own, within others."""
    (own := tmp_path / "own").write_text("4:memory:/elsewhere\n0::/system.slice/gate.service\n")
    monkeypatch.setattr(memory, "OWN_GROUPS", own)
    monkeypatch.setattr(memory, "GROUPS", {"": (tmp_path, "memory.max", "memory.current", "inactive_file")})
    folder = tmp_path / limited
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in (("max", "4000000"), ("current", "3000000"), ("stat", "anon 5\ninactive_file 500000\n")):
        (folder / f"memory.{name}").write_text(text)
    assert free_memory() == 1_500_000
    (folder / "memory.max").write_text("max\n")
    assert free_memory() > 1_500_000


def test_an_idx_file_that_unpacks_to_much_is_refused_unread(tmp_path: Path) -> None:
    """Two megabytes that would become two gigabytes; and sizes that no memory holds."""
    for name, count in (("bomb", 2 * GIBI // 784), ("huge", (1 << 32) - 1)):
        path = tmp_path / f"{name}.gz"
        with gzip.open(path, "wb") as file:
            file.write(bytes([0, 0, 8, 3]) + struct.pack(">III", count, 28, 28) + bytes(1000))
        with pytest.raises(SteepslopeError, match=rf"{name}.gz: expected a file that (unpacks to 100|fits into)"):
            _read_idx(path, 3)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_that_unpacks_to_much_is_refused_undecoded(tmp_path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 13_000, 13_000, 8, 0, 0, 0, 0)  # PIL only warns
    path = tmp_path / "bomb.png"
    parts = chunk(b"IHDR", head), chunk(b"IDAT", zlib.compress(bytes(13_001 * 100))), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    with pytest.raises(SteepslopeError, match=r"PNG: expected a file that (unpacks to 100 times|fits into)"):
        decode_image(path)


def test_texts_that_are_no_text_are_one_line(tmp_path: Path) -> None:
    texts = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(struct.pack("<iii", 0, 1, 2)), pa.py_buffer(b"a\xff")]
    )
    path = tmp_path / "answers.parquet"
    pq.write_table(pa.table({"id": texts, "prediction": ["a", "b"], "confidence": [0.5, 0.75]}), path)
    with pytest.raises(SteepslopeError, match=r"answers.parquet: cannot be read as a Parquet file"):
        for _ in TableBlocks(path, ReadingOptions()):
            pass
