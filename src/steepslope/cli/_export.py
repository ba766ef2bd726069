"""`steepslope export`, `push` and `sign`: a gate or an oracle as one file, as a folder that is shared, and signed."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from steepslope.cli._parser import showing_first
from steepslope.cli._show import show
from steepslope.errors import SteepslopeError
from steepslope.files import HUB, repository_and_revision, require_extra, require_free_file, say, upload_to_hub
from steepslope.nets.predict import NetSpecs
from steepslope.outputs import options_by_name
from steepslope.share import SignatureOptions

LIBRARIES = ("onnx", "onnxruntime", "onnxscript")


@showing_first("gate", "classifier", "opinion", "out")
def export(
    gate: str,
    out: str,
    nets: NetSpecs,
    signed: SignatureOptions,
    part: Literal["all", "gate", "oracle"] = "all",
    opinion: tuple[str, ...] = (),
    replace: bool = False,
) -> None:
    """Write a gate as one ONNX file: from decoded images to decisions, without Python or this package.

    The file holds the preprocessing, the classifier and what else the gate needs. Its inputs are images uint8 (N, H, W,
    C); its outputs label, probability, p_correct, trust_logit and accepted, (N,) each. The promise, the thresholds and
    the names of the classes stand in its metadata. Before it is written, it has to decide as the gate does.

    Needs: pip install 'steepslope[nets]'.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), or of a fitted oracle, for its trust logits alone.
    out
        The file to write, .onnx.
    part
        all: from images to decisions. gate: from logits, features and what else its oracle takes to decisions. oracle:
        from these to trust logits.
    nets
        Where the gate's nets are.
    signed
        Whose signature a gate must have.
    opinion
        Spec of the net of an opinion, NAME=SPEC, if it has moved since its outputs were extracted, or is your own
        code. Several can be given.
    replace
        Replace a file that is there.
    """
    for library in LIBRARIES:
        require_extra(library, "nets", "export")
    from steepslope.nets.export import exported_from_folder, require_agreement

    if not out.endswith(".onnx"):
        raise SteepslopeError(f"expected a file that ends in .onnx, found {out!r}", "out")
    require_free_file(Path(out), replace)
    with signed.verified(gate) as verified:
        exported = exported_from_folder(verified, part, nets, options_by_name("opinion", opinion))
    gap = require_agreement(exported)
    exported.save(Path(out))
    show(out)
    say(f"{out}: {Path(out).stat().st_size / 2**20:.1f} MiB; trust logits differ by {gap:.1g} at most")


@showing_first("gate", "to", "public", "out")
def push(
    gate: str,
    signed: SignatureOptions,
    to: str | None = None,
    public: bool = False,
    for_monitor: bool = False,
    license: str | None = None,
    out: str | None = None,
    replace: bool = False,
) -> None:
    """Share a gate or an oracle: as a folder in the layout of the Hugging Face Hub, and on the Hub itself.

    The folder has the files of the gate or oracle as they are, and a model card, README.md. Wherever a gate or an
    oracle is named, the folder can be named in its place, and so can hub:user/name or hub:user/name@revision. The
    classifier is not shared. Features of reference rows are: read the card before you make it public.

    Needs: pip install 'steepslope[hub]'.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), or of a fitted oracle.
    signed
        Whose signature a gate must have.
    to
        Repository on the Hub to upload to, user/name; a private one is made where there is none. Log in first (hf auth
        login).
    public
        Make the repository public, or upload to a public one. Without this option, a new repository is private, and a
        public one is refused.
    for_monitor
        Also share what a gate keeps of each calibration row: P(correct), the classifier's probability, the predicted
        and the true class, whether it is accepted. Without these, monitor needs --calibration.
    license
        License of what is shared, as the Hub names it, such as apache-2.0.
    out
        Folder for the files; without --to, nothing leaves this machine.
    replace
        Replace another shared gate or oracle in --out. A repository keeps all that was pushed, as revisions.
    """
    from tempfile import TemporaryDirectory

    from steepslope.share import copy_shared, write_shared

    require_extra("huggingface_hub", "hub", "push")
    if to is None and out is None:
        raise SteepslopeError("expected --to, a repository, or --out, a folder, found neither")
    if public and to is None:
        raise SteepslopeError("expected --to with it, found none", "public")
    repository, revision = (None, None) if to is None else repository_and_revision(to)
    if revision is not None:
        raise SteepslopeError("expected no revision: what is uploaded is a new one", to)
    place = Path(str(out)).name if repository is None else f"{HUB}{repository}"
    with TemporaryDirectory() as made, signed.verified(gate) as verified:
        folder = Path(made)
        kind = write_shared(verified, folder, place, license, for_monitor)
        if out is not None:
            copy_shared(folder, Path(out), replace)
            say(f"{out}: {kind} written")
        if repository is not None:
            commit = upload_to_hub(folder, repository, not public, f"A {kind} by steepslope")
            say(f"{place}@{commit}: {kind} uploaded")


@showing_first("gate", "key")
def sign(gate: str, /, key: str, replace: bool = False) -> None:
    """Sign a gate, an oracle, a trusted classifier or an exported file, so that others can require your signature.

    It writes gate.json.sig into the folder, or GATE.onnx.sig next to the file. Commands that load a gate check it if
    they are given --require-signature PUBLIC.pem. Sign again after every calibration and every export.

    Needs: pip install 'steepslope[sign]'.

    Parameters
    ----------
    gate
        Folder of a gate (calibrate), of a fitted oracle or of a TrustedClassifier, or an ONNX file (export).
    key
        File with an Ed25519 private key in PEM (openssl genpkey -algorithm ed25519 -out KEY.pem). If it is encrypted,
        its passphrase is asked for, or taken from the variable STEEPSLOPE_PASSPHRASE.
    replace
        Replace another signature.
    """
    from steepslope.share import sign as sign_gate

    say(f"signed: {sign_gate(gate, key, replace)}")
