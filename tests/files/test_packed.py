"""Packed folders: unpacked to the byte, and refused where a bit of them is another."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from steepslope.errors import SteepslopeError
from steepslope.files.folders import digest_of, write_json
from steepslope.files.packed import pack, tensor_shapes, unpack
from steepslope.files.packed_config import packed_kind, read_config

NAMES = ("gate.json", "certificate.md", "errors.safetensors", "oracle/oracle.json", "oracle/oracle.safetensors")
CARD = {"zeta": 1, "alpha": [0.1, 1e-300, 2**70, None, True], "naïve": {"": "ü\n"}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Make a folder of files with arrays of all kinds, odd names, and metadata of another program."""
    made = tmp_path / "made"
    (made / "oracle").mkdir(parents=True)
    for name in ("gate.json", "oracle/oracle.json"):
        write_json(made / name, CARD)
    (made / "certificate.md").write_text("Zusagen: ≤ 2 %\n", encoding="utf-8")
    save_file({"of_errors": torch.arange(5).double()}, made / "errors.safetensors")
    draw = torch.Generator().manual_seed(0)
    kinds = (torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8, torch.bool)
    arrays = {f"a/{kind}.{n}": (9 * torch.rand(n, 3, generator=draw)).to(kind) for kind in kinds for n in (0, 1, 7)}
    scalars = {"one": torch.tensor(3.5), "big": torch.tensor([2**64 - 1], dtype=torch.uint64)}
    save_file(arrays | scalars, made / "oracle" / "oracle.safetensors", {"format": "pt", "by": "another"})
    return made


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    out = tmp_path / "packed"
    out.mkdir()
    pack(folder, NAMES, "gate", out)
    return out


def refused(packed: Path, tmp_path: Path, words: str) -> None:
    """Require one line, and that nothing was written."""
    with pytest.raises(SteepslopeError, match=words) as error:
        unpack(packed, tmp_path / "again")
    assert "\n" not in str(error.value)
    assert str(packed) in str(error.value)
    assert not (tmp_path / "again").exists()


def test_it_comes_back_to_the_byte(folder: Path, packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path / "again")
    for name in NAMES:
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert {path.name for path in packed.iterdir()} == {"config.json", "model.safetensors"}
    assert packed_kind(packed) == "gate"


def test_others_can_read_it(packed: Path) -> None:
    """The arrays by the library of the format, and the cards as JSON."""
    with safe_open(packed / "model.safetensors", "np") as file:
        np.testing.assert_array_equal(file.get_tensor("errors:of_errors"), np.arange(5.0))
    config = json.loads((packed / "config.json").read_text(encoding="utf-8"))
    assert config["cards"]["oracle/oracle.json"] == CARD
    assert (config["library_name"], config["kind"]) == ("steepslope", "gate")
    assert tensor_shapes(packed)["oracle/oracle:a/torch.bfloat16.7"] == (7, 3)


def test_the_same_folder_is_packed_to_the_same_bytes(folder: Path, packed: Path, tmp_path: Path) -> None:
    (tmp_path / "second").mkdir()
    pack(folder, reversed(NAMES), "gate", tmp_path / "second")
    for name in ("config.json", "model.safetensors"):
        assert (tmp_path / "second" / name).read_bytes() == (packed / name).read_bytes()


def test_any_other_bit_is_refused(packed: Path, tmp_path: Path) -> None:
    """In 150 places each of both files, but for spaces in JSON, which say nothing."""
    draw = np.random.default_rng(0)
    for name in ("config.json", "model.safetensors"):
        content = (packed / name).read_bytes()
        places = [place for place in draw.integers(len(content), size=150) if not content[place : place + 1].isspace()]
        for place in places:
            other = bytearray(content)
            other[place] ^= 1
            (packed / name).write_bytes(other)
            with pytest.raises(SteepslopeError) as error:
                unpack(packed, tmp_path / "again")
            assert "\n" not in str(error.value)
        (packed / name).write_bytes(content)
    unpack(packed, tmp_path / "again")


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
@pytest.mark.parametrize("kept", [0, 7, 0.5])
def test_a_cut_or_missing_file_is_refused(name: str, kept: float, packed: Path, tmp_path: Path) -> None:
    content = (packed / name).read_bytes()
    (packed / name).write_bytes(content[: int(kept if kept >= 1 else kept * len(content))])
    refused(packed, tmp_path, "cannot be read|was changed after it was packed, or is cut: get it again")
    (packed / name).unlink()
    refused(packed, tmp_path, "has no config.json|No such file")


def signed(packed: Path, **changes: Any) -> None:
    """Change the config as someone would who knows how its digest is made."""
    config = {name: value for name, value in read_config(packed).items() if name != "digest"} | changes
    write_json(packed / "config.json", {**config, "digest": digest_of(config)})


@pytest.mark.parametrize("name", ["../gate.json", "/tmp/gate.json", "oracle/../../gate.json", "gate.py", "a\\b.json"])
def test_no_name_leads_out_of_the_folder(name: str, packed: Path, tmp_path: Path) -> None:
    config = read_config(packed)
    signed(packed, cards=config["cards"] | {name: {}}, files=config["files"] | {name: "0"})
    refused(packed, tmp_path, "expected the file of a gate or oracle, found")


def test_what_is_signed_anew_but_does_not_fit_is_refused(packed: Path, tmp_path: Path) -> None:
    config = read_config(packed)
    signed(packed, cards=config["cards"] | {"gate.json": {**CARD, "zeta": 2}})
    refused(packed, tmp_path, r"config\.json: was changed after it was packed")
    signed(packed, cards=config["cards"] | {"score.json": {}})
    refused(packed, tmp_path, "was changed after it was packed")
    signed(packed, cards={}, texts=[])
    refused(packed, tmp_path, "field 'texts'")
    signed(packed, **config | {"version": 2})
    refused(packed, tmp_path, "expected version 1 of the format, found 2")
    signed_version = json.loads((packed / "config.json").read_text(encoding="utf-8"))
    assert signed_version["version"] == 2


def test_arrays_of_another_header_are_refused(packed: Path, tmp_path: Path) -> None:
    path = packed / "model.safetensors"
    content = path.read_bytes()
    (size,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + size])
    for headers in ("[]", "no JSON", json.dumps({"errors.safetensors": "{}"}), json.dumps({"errors.safetensors": 3})):
        start = json.dumps({**header, "__metadata__": {"headers": headers}}).encode()
        path.write_bytes(struct.pack("<Q", len(start)) + start + content[8 + size :])
        refused(packed, tmp_path, "was changed after it was packed")


def test_only_files_of_a_gate_or_oracle_are_packed(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match=r"expected the file of a gate or oracle, found 'secrets\.txt'"):
        pack(folder, ["secrets.txt"], "gate", tmp_path)
    with pytest.raises(SteepslopeError, match=r"has no gate\.json"):
        pack(tmp_path, ["gate.json"], "gate", tmp_path)


def test_a_config_of_another_program_is_none_of_ours(tmp_path: Path) -> None:
    assert packed_kind(tmp_path) is None
    write_json(tmp_path / "config.json", {"model_type": "bert"})
    assert packed_kind(tmp_path) is None
    with pytest.raises(SteepslopeError, match="expected a packed gate or oracle, found the config of None"):
        read_config(tmp_path)
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(SteepslopeError, match="expected a packed gate or oracle, but it cannot be read"):
        packed_kind(tmp_path)
