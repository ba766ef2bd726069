"""`steepslope export`."""

from pathlib import Path
from typing import Literal

from steepslope.errors import SteepslopeError
from steepslope.files.progress import console


def export(
    out: str,
    gate: str | None = None,
    oracle: str | None = None,
    part: Literal["all", "gate", "oracle"] = "all",
    classifier: str | None = None,
    auxiliary: str | None = None,
    backbones: tuple[str, ...] = (),
    replace: bool = False,
) -> None:
    """Write a gate as one ONNX file: from decoded images to decisions, without Python or this package.

    The file holds the preprocessing, the classifier and what else the gate needs. Its inputs are images uint8 (N, H, W,
    C); its outputs label, probability, p_correct, trust_logit and accepted, (N,) each. The promise, the thresholds and
    the names of the classes stand in its metadata. Before it is written, it has to decide as the gate does.

    Parameters
    ----------
    out
        The file to write, .onnx.
    gate
        Folder of a gate (calibrate).
    oracle
        Folder of a fitted oracle in place of a gate, for its trust logits alone.
    part
        all: from images to decisions. gate: from logits, features and what else its oracle takes to decisions. oracle:
        from these to trust logits.
    classifier
        Spec of the classifier, where it lies elsewhere than when its outputs were extracted, or is code of your own. It
        has to be the same net.
    auxiliary
        Spec of the second backbone, likewise.
    backbones
        Specs (module:…) of code of your own that an oracle on images may run; a file cannot name it.
    replace
        Replace a file that is there.
    """
    from steepslope.cli.exports import exported_from
    from steepslope.export.agreement import require_agreement

    if not out.endswith(".onnx"):
        raise SteepslopeError(f"expected a file that ends in .onnx, found {out!r}", "out")
    if (gate is None) == (oracle is None):
        raise SteepslopeError(f"expected --gate or --oracle, found {'neither' if gate is None else 'both'}")
    if Path(out).exists() and not replace:
        raise SteepslopeError("there is such a file already: choose another, or give --replace", out)
    exported = exported_from(gate, oracle, part, classifier, auxiliary, backbones)
    gap = require_agreement(exported)
    exported.save(Path(out))
    for line in exported.summary():
        print(line)
    console().print(f"{out}: {Path(out).stat().st_size / 2**20:.1f} MiB; trust logits differ by {gap:.1g} at most")
