"""Only what a wanted key signed is loaded, byte by byte, whoever may write where it lies."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from sklearn.linear_model import LogisticRegression

from steepslope import FusedOracle, Gate, Oracle, TrustedClassifier
from steepslope.cli._main import main
from steepslope.errors import ChangedWarning, SteepslopeError
from steepslope.files._artifact import DIGEST, FILES, MADE
from steepslope.files._folders import digest_of, fingerprint, write_json
from steepslope.gate._storage import digest_of_gate
from steepslope.gate._switch import stop_gate
from steepslope.nets.export._exporting import export_gate
from steepslope.nets.export._file import ExportedGate, sealed_onnx
from steepslope.scores import MCP
from steepslope.share import _signatures as signatures
from steepslope.share._sharing import write_shared
from steepslope.share._signatures import PASSPHRASE, sign, verified
from tests.conftest import Captured, contents, make_outputs
from tests.refusal import refusal

RISK = 0.4
PKCS8, DER_OF_PUBLIC = PrivateFormat.PKCS8, PublicFormat.SubjectPublicKeyInfo
Attack = Callable[[Path, Path], object]


def write_key(folder: Path, name: str, passphrase: bytes | None = None) -> tuple[Path, Path]:
    """Make a key; return the files of its private and its public half."""
    key = Ed25519PrivateKey.generate()
    private, public = folder / f"{name}.pem", folder / f"{name}-public.pem"
    encryption = NoEncryption() if passphrase is None else BestAvailableEncryption(passphrase)
    private.write_bytes(key.private_bytes(Encoding.PEM, PKCS8, encryption))
    public.write_bytes(key.public_key().public_bytes(Encoding.PEM, DER_OF_PUBLIC))
    return private, public


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write two keys, and signed gates with an oracle, by two risks, with files of them; tests must not write there."""
    home = tmp_path_factory.mktemp("signed")
    private, _ = write_key(home, "mine")
    other, _ = write_key(home, "other")
    oracle = FusedOracle().fit(make_outputs(500, seed=1))
    for name, risk in (("gate", RISK), ("earlier", 0.5)):
        gate = Gate.of(oracle, make_outputs(), max_risk=risk)
        gate.save(home / name)
        file = home / f"{name}.onnx"
        export_gate(gate, "gate", digest_of_gate(home / name)).save(file)
        for signed in (home / name, file):
            sign(signed, private)
    Gate.of(MCP(), make_outputs(), max_risk=0.9).save(home / "forged")
    sign(home / "forged", other)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """Return a copy of all that was made, for a test to write into."""
    return shutil.copytree(made, tmp_path / "home")


def loaded(name: Path, home: Path, *keys: str) -> Gate | Oracle | ExportedGate:
    with verified(name, [home / f"{key}-public.pem" for key in keys or ("mine",)]) as copy:
        if Path(copy).is_file():
            return ExportedGate.open(copy)
        return Gate.load(copy)


def test_what_was_signed_decides_as_the_original(home: Path) -> None:
    new = make_outputs(seed=5)
    expected = Gate.load(home / "gate").decide(new)
    gate = loaded(home / "gate", home)
    assert isinstance(gate, Gate)
    assert gate.decide(new).trust_logit.tolist() == expected.trust_logit.tolist()
    assert gate.decide(new).accepted.tolist() == expected.accepted.tolist()
    assert gate.calibration_rows is not None
    exported = loaded(home / "gate.onnx", home)
    assert isinstance(exported, ExportedGate)
    logits = new.logits.astype(np.float32)
    assert exported.run({"logits": logits})["accepted"].tolist() == expected.accepted.tolist()


def test_a_signature_is_no_part_of_what_it_signs(made: Path, tmp_path: Path) -> None:
    """A folder is the same gate with it or without it; one that is made again loses it."""
    gate = shutil.copytree(made / "gate", tmp_path / "gate")
    before = fingerprint(gate), digest_of_gate(gate)
    (gate / "gate.json.sig").unlink()
    assert (fingerprint(gate), digest_of_gate(gate)) == before
    sign(gate, made / "mine.pem")
    Gate.load(gate).save(gate)
    assert not (gate / "gate.json.sig").exists()
    file = shutil.copyfile(made / "gate.onnx", tmp_path / "gate.onnx")
    sign(file, made / "mine.pem")
    export_gate(Gate.load(gate), "gate", digest_of_gate(gate)).save(file)
    assert not file.with_name("gate.onnx.sig").exists()


def test_openssl_checks_it_too(made: Path, tmp_path: Path) -> None:
    """The text, the fingerprint and the 64 bytes are what the module says, by another program."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl")
    _, key, signature = (made / "gate" / "gate.json.sig").read_text(encoding="ascii").splitlines()
    text = f"steepslope signature 1\ngate.json\n{fingerprint(made / 'gate' / 'gate.json')}\n"
    (tmp_path / "text").write_bytes(text.encode())
    (tmp_path / "sig").write_bytes(b64decode(signature))
    public = str(made / "mine-public.pem")
    words = ["pkeyutl", "-verify", "-pubin", "-inkey", public, "-rawin", "-in", "text", "-sigfile", "sig"]
    assert subprocess.run([openssl, *words], cwd=tmp_path, check=False, capture_output=True).returncode == 0
    der = subprocess.run([openssl, "pkey", "-pubin", "-in", public, "-outform", "DER"], check=True, capture_output=True)
    assert sha256(der.stdout).hexdigest() == key


def reseal(folder: Path, card: str, **changes: object) -> None:
    """Change fields of a card, and give it and its files the digests that they then have, as anybody can."""
    content = json.loads((folder / card).read_text(encoding="utf-8")) | changes
    sealed = {key: value for key, value in content.items() if key not in (DIGEST, MADE)}
    sealed[FILES] = {name: fingerprint(folder / name) for name in sealed[FILES]}
    write_json(folder / card, {**sealed, DIGEST: digest_of(sealed), MADE: content[MADE]})


def oracle_of_another(gate: Path, home: Path) -> None:
    """Swap the inner folder, and seal the gate again around it."""
    FusedOracle().fit(make_outputs(500, seed=7)).save(gate / "oracle")
    reseal(gate, "gate.json")


def weights_resealed_inside(gate: Path, home: Path) -> None:
    """Change the oracle's weights, and seal the oracle, but not the gate."""
    path = gate / "oracle" / "oracle.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    reseal(gate / "oracle", "oracle.json")


def card_of_another(gate: Path, home: Path) -> None:
    shutil.copyfile(home / "forged" / "gate.json", gate / "gate.json")


def folder_of_another(gate: Path, home: Path) -> None:
    """Another's gate under my signature."""
    signature = (gate / "gate.json.sig").read_bytes()
    shutil.rmtree(gate)
    shutil.copytree(home / "forged", gate)
    (gate / "gate.json.sig").write_bytes(signature)


def link_to_another(gate: Path, home: Path) -> None:
    (gate / "gate.json").unlink()
    (gate / "gate.json").symlink_to(home / "forged" / "gate.json")


def kind_of_an_oracle(gate: Path, home: Path) -> None:
    """Give a gate's card the signature that the same bytes have as an oracle's."""
    (gate / "gate.json").rename(gate / "oracle.json")
    key = signatures._read_private_key(home / "mine.pem")
    text = f"steepslope signature 1\noracle.json\n{fingerprint(gate / 'oracle.json')}\n"
    lines = (gate / "gate.json.sig").read_text(encoding="ascii").splitlines()
    lines[2] = b64encode(key.sign(text.encode())).decode()
    (gate / "gate.json.sig").write_text("\n".join([*lines, ""]), encoding="ascii")
    (gate / "oracle.json").rename(gate / "gate.json")


def fingerprint_of_mine(gate: Path, home: Path) -> None:
    """Let the signature of another key say that it is mine."""
    folder_of_another(gate, home)
    mine = (home / "gate.onnx.sig").read_text(encoding="ascii").splitlines()
    theirs = (home / "forged" / "gate.json.sig").read_text(encoding="ascii").splitlines()
    (gate / "gate.json.sig").write_text("\n".join([*mine[:2], theirs[2], ""]), encoding="ascii")


def signature_that_is_a_folder(gate: Path, home: Path) -> None:
    (gate / "gate.json.sig").unlink()
    (gate / "gate.json.sig").mkdir()


def signature_that_is_a_pipe(gate: Path, home: Path) -> None:
    (gate / "gate.json.sig").unlink()
    os.mkfifo(gate / "gate.json.sig")


def folder_in_place_of_file(file: Path, home: Path) -> None:
    file.unlink()
    shutil.copytree(home / "forged", file)


def write_signature(content: bytes) -> Attack:
    return lambda gate, home: (gate / "gate.json.sig").write_bytes(content)


CHANGED = "expected the signature of this content, found another"
NO_SIGNATURE = "expected the three lines of a steepslope signature 1, found another file"
ATTACKS: dict[str, tuple[Attack, str]] = {
    "threshold": (lambda gate, home: reseal(gate, "gate.json", caution="none"), CHANGED),
    "what made it": (
        lambda gate, home: (gate / "gate.json").write_bytes((gate / "gate.json").read_bytes() + b"\n"),
        CHANGED,
    ),
    "oracle": (oracle_of_another, CHANGED),
    "weights": (weights_resealed_inside, "expected the file written with gate.json, found another"),
    "sentences": (
        lambda gate, home: (gate / "certificate.md").write_text("It is never wrong."),
        "expected the file written with gate.json, found another",
    ),
    "missing file": (
        lambda gate, home: (gate / "certificate.md").unlink(),
        "expected the file written with gate.json, found none",
    ),
    "card": (card_of_another, CHANGED),
    "folder": (folder_of_another, CHANGED),
    "link": (link_to_another, CHANGED),
    "kind": (kind_of_an_oracle, CHANGED),
    "fingerprint": (fingerprint_of_mine, CHANGED),
    "signature of another gate": (
        lambda gate, home: shutil.copyfile(home / "earlier" / "gate.json.sig", gate / "gate.json.sig"),
        CHANGED,
    ),
    "signature of its file": (
        lambda gate, home: shutil.copyfile(home / "gate.onnx.sig", gate / "gate.json.sig"),
        CHANGED,
    ),
    "another key": (
        lambda gate, home: sign(gate, home / "other.pem", replace=True),
        "expected a signature with the key ",
    ),
    "no signature": (
        lambda gate, home: (gate / "gate.json.sig").unlink(),
        "expected a signature (steepslope sign), found none",
    ),
    "a folder": (signature_that_is_a_folder, "expected a signature (steepslope sign), found none"),
    "a pipe": (signature_that_is_a_pipe, "expected a signature (steepslope sign), found none"),
    "empty": (write_signature(b""), NO_SIGNATURE),
    "garbage": (write_signature(bytes(range(256))), NO_SIGNATURE),
    "long": (
        lambda gate, home: write_signature((gate / "gate.json.sig").read_bytes() + b"\n" * 10**6)(gate, home),
        NO_SIGNATURE,
    ),
    "another version": (
        lambda gate, home: write_signature((gate / "gate.json.sig").read_bytes().replace(b" 1", b" 2"))(gate, home),
        NO_SIGNATURE,
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_changed_gate_is_refused_in_one_line(attack: str, home: Path) -> None:
    change, expected = ATTACKS[attack]
    change(home / "gate", home)
    message = refusal(loaded, home / "gate", home)
    assert expected in message
    assert str(home / "gate") in message
    assert "steepslope-" not in message  # the folder of the copy means nothing to who reads it


FILE_ATTACKS: dict[str, tuple[Attack, str]] = {
    "sealed again": (lambda file, home: file.write_bytes(sealed_onnx(file.read_bytes())), CHANGED),
    "another file": (lambda file, home: shutil.copyfile(home / "earlier.onnx", file), CHANGED),
    "signature of its gate": (
        lambda file, home: shutil.copyfile(home / "gate" / "gate.json.sig", home / "gate.onnx.sig"),
        CHANGED,
    ),
    "a folder": (folder_in_place_of_file, "expected a signature with the key "),
}


@pytest.mark.parametrize("attack", FILE_ATTACKS)
def test_a_changed_file_is_refused(attack: str, home: Path) -> None:
    change, expected = FILE_ATTACKS[attack]
    change(home / "gate.onnx", home)
    assert expected in refusal(loaded, home / "gate.onnx", home)


def test_what_lies_next_to_it_is_not_loaded(home: Path) -> None:
    """Files that no seal names, in any folder, and cards of other kinds are not in the copy."""
    gate = home / "gate"
    for name in ("score.safetensors", "oracle/evidence.safetensors.bak", "gate.py", "oracle/oracle/oracle.json"):
        (gate / name).parent.mkdir(exist_ok=True)
        (gate / name).write_bytes(b"more")
    shutil.copyfile(gate / "oracle" / "oracle.json", gate / "oracle.json")
    with verified(gate, [home / "mine-public.pem"]) as copy:
        sealed = set(contents(home / "earlier")) & set(contents(gate))
        assert set(contents(Path(copy))) == sealed


def test_a_change_after_the_check_does_not_matter(home: Path) -> None:
    """The copy stays what was signed, and only its owner can open its folder."""
    expected = Gate.load(home / "gate")
    with verified(home / "gate", [home / "mine-public.pem"]) as copy:
        shutil.rmtree(home / "gate")
        shutil.copytree(home / "forged", home / "gate")
        assert Gate.load(copy).certificates == expected.certificates
        assert Path(copy).parent.stat().st_mode & 0o077 == 0
    assert not Path(copy).parent.exists()


@pytest.mark.parametrize("moment", range(9))
def test_a_change_during_the_check_is_refused_or_too_late(
    moment: int, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever file is copied when another's gate takes the place, only what was signed is loaded, or nothing is."""
    sign(home / "earlier", home / "other.pem", replace=True)
    expected = Gate.load(home / "gate").certificates
    copyfile, calls = shutil.copyfile, 0

    def swapping(source: Path, target: Path) -> Path:
        nonlocal calls
        calls += 1
        if calls == moment + 1:
            (home / "gate").rename(home / "away")
            (home / "earlier").rename(home / "gate")
        return copyfile(source, target)

    monkeypatch.setattr(shutil, "copyfile", swapping)
    try:
        gate = loaded(home / "gate", home)
    except SteepslopeError:
        return
    assert isinstance(gate, Gate)
    assert gate.certificates == expected


def test_what_was_copied_is_what_is_checked(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not the original, which may be good again by then."""
    sign(home / "earlier", home / "other.pem", replace=True)
    copyfile = shutil.copyfile

    def of_another(source: Path, target: Path) -> Path:
        return copyfile(home / "earlier" / source.relative_to(home / "gate"), target)

    monkeypatch.setattr(shutil, "copyfile", of_another)
    assert CHANGED in refusal(loaded, home / "gate", home)


def test_keys_can_be_several_and_one_can_be_taken_away(home: Path) -> None:
    """One file may hold several, with text between them; whoever removes a key no longer trusts it."""
    both = [(home / f"{name}-public.pem").read_bytes() for name in ("other", "mine")]
    (home / "both-public.pem").write_bytes(b"# of 2026\n" + b"of 2027\n".join(both))
    for keys in (["both"], ["other", "mine"]):
        assert isinstance(loaded(home / "gate", home, *keys), Gate)
        assert isinstance(loaded(home / "forged", home, *keys), Gate)
    assert "found one with" in refusal(loaded, home / "forged", home)
    write_key(home, "third")
    assert " or " in refusal(loaded, home / "gate", home, "other", "third")


def test_other_keys_are_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (home / "rsa.pem").write_bytes(key.private_bytes(Encoding.PEM, PKCS8, NoEncryption()))
    (home / "rsa-public.pem").write_bytes(key.public_key().public_bytes(Encoding.PEM, DER_OF_PUBLIC))
    shutil.copyfile(home / "mine.pem", home / "private-public.pem")
    (home / "empty-public.pem").write_bytes(b"")
    mixed = (home / "mine-public.pem").read_bytes() + (home / "mine.pem").read_bytes()
    (home / "mixed-public.pem").write_bytes(mixed)
    for name in ("rsa", "private", "empty", "mixed"):
        message = refusal(loaded, home / "gate", home, name)
        assert message.startswith(f"{home / name}-public.pem: expected an Ed25519PublicKey in PEM, found ")
    assert "expected a file of keys, found none" in refusal(loaded, home / "gate", home, "missing")
    for file in (home / "rsa.pem", home / "mine-public.pem", home / "gate" / "gate.json"):
        assert f"{file}: expected an Ed25519PrivateKey in PEM, found " in refusal(sign, home / "earlier", file)


def test_a_passphrase(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is in a variable, or typed."""
    private, _ = write_key(home, "locked", b"a secret")
    monkeypatch.setenv(PASSPHRASE, "another")
    message = refusal(sign, home / "gate", private, True)
    assert "expected an Ed25519PrivateKey in PEM" in message
    assert "another" not in message
    monkeypatch.setenv(PASSPHRASE, "a secret")
    sign(home / "gate", private, True)
    monkeypatch.delenv(PASSPHRASE)
    monkeypatch.setattr(signatures, "getpass", lambda prompt: "a secret")
    sign(home / "gate", private, True)
    assert isinstance(loaded(home / "gate", home, "locked"), Gate)


def test_only_what_is_whole_is_signed(home: Path) -> None:
    """Another signature stays, unless it may be replaced, and nothing is signed that could not be loaded."""
    gate, key = home / "gate", home / "mine.pem"
    assert "there is such a file already" in refusal(sign, gate, key)
    before = (gate / "gate.json.sig").read_bytes()
    (gate / "oracle" / "oracle.safetensors").write_bytes(b"damaged")
    assert "expected the file written with oracle.json, found another" in refusal(sign, gate, key, True)
    (home / "gate.onnx").write_bytes(b"damaged")
    assert "expected a file that steepslope export wrote" in refusal(sign, home / "gate.onnx", key, True)
    assert (gate / "gate.json.sig").read_bytes() == before
    assert "found none" in refusal(sign, home, key)


@pytest.mark.parametrize("name", ["../mine.pem", "/etc/hostname"])
def test_no_card_names_files_elsewhere(name: str, home: Path) -> None:
    """Not even one that is sealed, which the owner of a key may be asked to sign."""
    gate = home / "gate"
    content = json.loads((gate / "gate.json").read_text(encoding="utf-8"))
    sealed = {key: value for key, value in content.items() if key not in (DIGEST, MADE)}
    sealed[FILES][name] = "0" * 64
    write_json(gate / "gate.json", {**sealed, DIGEST: digest_of(sealed), MADE: {}})
    message = refusal(sign, gate, home / "mine.pem", True)
    assert f"expected the names of files in this folder, found '{name}'" in message


def test_an_oracle_and_a_trusted_classifier(home: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(3, size=600)
    table = draw.normal(size=(600, 4)) + labels[:, None]
    model = TrustedClassifier(LogisticRegression(), max_risk=0.5).fit(table, labels)
    model.save(home / "trusted")
    sign(home / "trusted", home / "mine.pem")
    sign(home / "gate" / "oracle", home / "mine.pem")
    with verified(home / "gate" / "oracle", [home / "mine-public.pem"]) as copy:
        Oracle.load(copy)
    (home / "trusted" / "calibration" / "augmented").mkdir()
    with verified(home / "trusted", [home / "mine-public.pem"]) as copy:
        again = TrustedClassifier.load(copy, model.estimator_)
        assert not (Path(copy) / "calibration" / "augmented").exists()
    assert again.decide(table)[1].tolist() == model.decide(table)[1].tolist()
    path = home / "trusted" / "calibration" / "labels.npy"
    path.write_bytes(path.read_bytes()[::-1])
    with pytest.raises(SteepslopeError, match=r"expected the file written with trusted\.json"):
        loaded(home / "trusted", home)


def test_a_stopped_gate_stays_stopped(home: Path) -> None:
    stop_gate(home / "gate", "wrong joins")
    gate = loaded(home / "gate", home)
    assert isinstance(gate, Gate)
    with pytest.warns(ChangedWarning, match="wrong joins"):
        assert not gate.decide(make_outputs(seed=5)).accepted.any()


def test_a_signature_goes_along_where_it_is_shared(home: Path) -> None:
    """Without the calibration rows, which may stay at home."""
    (home / "shared").mkdir()
    write_shared(str(home / "gate"), home / "shared", "hub:me/mine")
    gate = loaded(home / "shared", home)
    assert isinstance(gate, Gate)
    assert gate.calibration_rows is None


def test_commands_require_it(home: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each that loads a gate refuses another's in one line, with exit code 2, before it writes anything."""
    make_outputs(seed=5).save(home / "new")
    out, keys = home / "out", ["--require-signature", str(home / "mine-public.pem")]
    predictions = ["--outputs", str(home / "new"), "--out"]
    for gate, codes in (("gate", 0), ("forged", 2)):
        name = str(home / gate)
        for words in (
            ["show", name],
            ["predict", "--gate", name, *predictions, str(out / f"{gate}.csv")],
            ["monitor", "--gate", name, "--state", str(out / f"{gate}.sqlite")],
            ["export", "--gate", name, "--part", "gate", "--out", str(out / f"{gate}.onnx")],
            ["push", "--gate", name, "--out", str(out / f"{gate}-shared")],
        ):
            assert main([*words, *keys]) == codes, words
            error = capsys.readouterr().err
            assert codes == 0 or error.count("\n") == 1, error
            assert codes == 0 or "expected a signature with the key " in error
            assert "steepslope-" not in error
    assert not [*out.glob("forged*")]
    monkeypatch.setattr("steepslope.serve.run_server", lambda *_: None)  # a server that should not start, ends
    assert main(["serve", "--gate", str(home / "gate"), "--port", "0", *keys]) == 0
    capsys.readouterr()
    assert main(["serve", "--gate", str(home / "forged"), "--port", "0", *keys]) == 2
    assert "expected a signature with the key " in capsys.readouterr().err


def test_the_command_and_no_key_at_all(home: Path, capsys: Captured) -> None:
    file, key = str(home / "gate.onnx"), str(home / "other.pem")
    assert main(["sign", file, "--key", key]) == 2
    assert main(["sign", file, "--key", key, "--replace"]) == 0
    assert f"signed: {file}.sig" in capsys.readouterr().err
    assert main(["show", file, "--require-signature", str(home / "other-public.pem")]) == 0
    assert f"gate:       {file}, format " in capsys.readouterr().out
    for nothing in (",", "none"):
        assert main(["show", file, "--require-signature", nothing]) == 2
        assert "expected a file of public keys, found none" in capsys.readouterr().err
    assert main(["show", str(home / "forged")]) == 0
