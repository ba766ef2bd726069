"""Signatures, which tell who vouches for a gate, an oracle, a trusted classifier or an exported file. All is offline.

One file is signed: the card of a folder, such as ``gate.json``, or the exported file. The seal of a card has the
digests of the other files, and the card of an inner folder is one of them. So whoever signs the card signs all that is
loaded. The signature lies next to the file, as ``gate.json.sig`` or ``gate.onnx.sig``. It has three lines: the format,
the fingerprint of the public key, and in Base64 the Ed25519 signature of a text (:func:`_text_to_sign`).
"""

from __future__ import annotations

import os
import re
import shutil
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from getpass import getpass
from hashlib import sha256
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from steepslope.errors import SteepslopeError, explained
from steepslope.files import (
    FILES,
    SIGNATURE,
    field,
    fingerprint,
    folder_or_hub_snapshot,
    read_json,
    require_free_file,
    staged_folder,
)
from steepslope.gate import GATE, reason_to_stop, switches_of_gate
from steepslope.nets.export import require_unchanged_onnx
from steepslope.oracle import ORACLE
from steepslope.sklearn import TRUSTED

_ARTIFACTS = {"trusted.json": TRUSTED, "gate.json": GATE, "oracle.json": ORACLE}  # by their cards, the outermost first
_FORMAT = "steepslope signature 1"  # nothing else that a key signs begins so
LINES = re.compile(rf"{_FORMAT}\n([0-9a-f]{{64}})\n([A-Za-z0-9+/]{{86}}==)\n")
LONGEST = 1024  # characters, more than a signature has
_EXPORTED = "onnx"  # the kind of an exported file; that of a folder is its card's name
PASSPHRASE = "STEEPSLOPE_PASSPHRASE"  # the variable for an encrypted key where nobody can be asked
PEM = re.compile(rb"-----BEGIN .*?-----END [^\n]*", re.DOTALL)
SHORT = 16  # characters of a fingerprint in errors


@contextmanager
def verified(name: str | Path, public_keys: Sequence[str | Path]) -> Iterator[str]:
    """Check the signature of a gate, and give the block a private copy: load that, not the original.

    Each file is read once, into a folder that only this user can open, and checked there. So no later change of the
    original matters. The copy has the files that the seals name, and no others. It is stopped if the original is
    (``steepslope stop``). It is removed when the block ends.

    Needs: pip install 'steepslope[sign]'.

    Parameters
    ----------
    name
        Folder of a gate, an oracle or a trusted classifier, its name on the Hub, or an exported file.
    public_keys
        Files of Ed25519 public keys in PEM, each with one or several.

    Raises
    ------
    SteepslopeError
        If a file of keys holds no such key; or if there is no signature, it is another key's, or anything that it
        covers was changed.

    >>> with verified("runs/gate", ["public.pem"]) as gate:  # doctest: +SKIP
    ...     loaded = Gate.load(gate)
    """
    keys = _read_public_keys(public_keys)
    with _private_copy(name, keys) as (copy, _, _):
        reason = reason_to_stop(name)
        if reason is not None:
            switches_of_gate(copy)[0].write_text(reason, encoding="utf-8")
        yield str(copy)


def sign(name: str | Path, private_key: str | Path, replace: bool = False) -> Path:
    """Sign a gate, an oracle, a trusted classifier or an exported file; return the signature's file.

    Needs: pip install 'steepslope[sign]'.

    Parameters
    ----------
    name
        Folder or exported file.
    private_key
        File of an Ed25519 private key in PEM. If it is encrypted, its passphrase is asked for, or is the variable
        ``STEEPSLOPE_PASSPHRASE``.
    replace
        Whether another signature may be replaced.

    Raises
    ------
    SteepslopeError
        If the key's file holds no such key, what is to be signed was changed since it was written, or there is another
        signature.
    """
    key = _read_private_key(Path(private_key))
    with _private_copy(name) as (_, text, target):
        require_free_file(target, replace)
        signature = b64encode(key.sign(text)).decode()
        with staged_folder(target.parent, last=target.name) as staging:
            lines = f"{_FORMAT}\n{_fingerprint_of_key(key.public_key())}\n{signature}\n"
            (staging / target.name).write_bytes(lines.encode())
    return target


@contextmanager
def _private_copy(
    name: str | Path, keys: dict[str, Ed25519PublicKey] | None = None
) -> Iterator[tuple[Path, bytes, Path]]:
    """Give a checked copy, the text to sign, and the original's signature; errors name the original.

    With ``keys``, the signature is checked before anything that it covers is parsed.
    """
    source = folder_or_hub_snapshot(name)
    original = _file_to_sign(source)
    signature = original.with_name(original.name + SIGNATURE)
    with TemporaryDirectory(prefix="steepslope-", ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / source.resolve().name
        signed = copy / original.relative_to(source)
        try:
            signed.parent.mkdir(exist_ok=True)
            shutil.copyfile(original, signed)
            text = _text_to_sign(signed, _EXPORTED if original == source else original.name)
            if keys is not None:
                _require_signature(signature, text, keys)
            if original == source:
                require_unchanged_onnx(copy)
            else:
                _copy_sealed_files(source, copy, original.name)
            yield copy, text, signature
        except SteepslopeError as error:
            raise type(error)(str(error).replace(str(copy), str(name))) from error


def _file_to_sign(source: Path) -> Path:
    """Return an exported file itself, and of a folder the outermost card."""
    for path in (source, *(source / card for card in _ARTIFACTS)):
        if path.is_file():
            return path
    expected = "expected the folder of a gate, an oracle or a trusted classifier, or an exported file, found none"
    raise SteepslopeError(expected, source)


def _text_to_sign(signed: Path, kind: str) -> bytes:
    """Return what is signed, in three lines: the format, the kind of what is signed, and the SHA-256 of the file."""
    return f"{_FORMAT}\n{kind}\n{fingerprint(signed)}\n".encode()


def _copy_sealed_files(folder: Path, out: Path, card: str) -> None:
    """Copy all that a card in ``out`` names, and its signature, and nothing else; raise unless all is as sealed."""
    artifact = _ARTIFACTS[card]
    for name in (card + SIGNATURE, *field(read_json(out / card, artifact.what), FILES, dict, out / card)):
        if PurePath(name).is_absolute() or ".." in PurePath(name).parts:
            raise SteepslopeError(f"expected the names of files in this folder, found {name!r}", out / card)
        if (folder / name).is_file():  # of one that is missing, the seal tells whether it may be
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folder / name, out / name)
    artifact.sealed_card(out)
    subfolder, _, inner = artifact.inside.rpartition("/")
    if (out / subfolder / inner).is_file():
        _copy_sealed_files(folder / subfolder, out / subfolder, inner)


def _require_signature(path: Path, text: bytes, keys: dict[str, Ed25519PublicKey]) -> None:
    """Raise unless a file holds the signature of a text with one of the keys, which are named by their fingerprints."""
    if not path.is_file():
        raise SteepslopeError("expected a signature (steepslope sign), found none", path)
    with path.open(encoding="latin-1") as file:
        lines = LINES.fullmatch(file.read(LONGEST))
    if lines is None:
        raise SteepslopeError(f"expected the three lines of a {_FORMAT}, found another file", path)
    key = lines[1]
    if key not in keys:
        wanted = " or ".join(known[:SHORT] for known in keys)
        raise SteepslopeError(f"expected a signature with the key {wanted}, found one with {key[:SHORT]}", path)
    found = "found another: the content was changed after it was signed, or the signature is that of something else"
    with explained(f"expected the signature of this content, {found}", path, InvalidSignature):
        keys[key].verify(b64decode(lines[2]), text)


def _read_public_keys(files: Sequence[str | Path]) -> dict[str, Ed25519PublicKey]:
    """Return the public keys in some files by their fingerprints; raise unless all that they hold are such keys."""
    if not files:
        raise SteepslopeError("expected a file of public keys, found none", "require-signature")
    keys = {}
    for path in map(Path, files):
        for block in PEM.findall(_read_keys(path)) or [b"no PEM"]:
            key = _read_ed25519(Ed25519PublicKey, path, load_pem_public_key, block)
            keys[_fingerprint_of_key(key)] = key
    return keys


def _read_private_key(path: Path) -> Ed25519PrivateKey:
    content, passphrase = _read_keys(path), None
    if b"ENCRYPTED" in content:
        with explained(f"expected its passphrase, typed or in {PASSPHRASE}, found none", path, EOFError):
            passphrase = (os.environ.get(PASSPHRASE) or getpass(f"Passphrase of {path}: ")).encode()
    key: Ed25519PrivateKey = _read_ed25519(Ed25519PrivateKey, path, load_pem_private_key, content, passphrase)
    return key


def _read_keys(path: Path) -> bytes:
    with explained("expected a file of keys, found none that can be read", path, OSError):
        return path.read_bytes()


def _read_ed25519(kind: Any, path: Path, load: Callable[..., Any], *content: bytes | None) -> Any:
    expected = f"expected an {kind.__name__} in PEM, found"
    with explained(f"{expected} what cannot be read as one", path, longest=160):
        key = load(*content)
    if not isinstance(key, kind):
        raise SteepslopeError(f"{expected} {type(key).__name__}", path)
    return key


def _fingerprint_of_key(key: Ed25519PublicKey) -> str:
    """Return the SHA-256 of a public key in DER, as openssl pkey -pubin -outform DER | sha256sum prints it."""
    return sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
