"""What a model card tells of a gate or an oracle: what it is for, what is inside, how to use it. All is read off it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping

from steepslope.gate import Gate
from steepslope.gate.confidence_source import NetRecord
from steepslope.oracle.handover import AUXILIARY
from steepslope.oracle.storage import CODE
from steepslope.share.sharing import GATE, Shared

SHOWN = 20  # names of classes
PLACE = re.compile(r"(?<=^checkpoint:).*|(?<=^onnx:).*|(?<=[?&]weights=)[^&]*[/.][^&]*")  # on somebody's machine
POINTS, SQUARES = "points", "squares"  # arrays of an index of neighbours, which have a row for each reference
ERRORS_ARRAY, HASHES_ARRAY, CALIBRATION_ARRAY = (
    "errors:",
    "fit_rows:hashes",
    "calibration_rows:",
)  # where these stand in the names
Shapes = Mapping[str, tuple[int, ...]]


def spec_of(net: NetRecord) -> str:
    """Return a net's spec without the folders in which it lies on somebody's machine.

    >>> specs = ["checkpoint:/home/me/runs/net", "timm:resnet18", "timm:resnet18?weights=/home/me/own.pt"]
    >>> [spec_of(NetRecord(spec, "", {})) for spec in specs]
    ['checkpoint:net', 'timm:resnet18', 'timm:resnet18?weights=own.pt']
    """
    return PLACE.sub(lambda place: place[0].rstrip("/").split("/")[-1], net.spec)


def about(shared: Shared) -> str:
    """Return a list in Markdown of what it ranks by, and for which classifier it was made."""
    rows = {"Kind": shared.kind, **_ranking(shared), **_classifier(shared), **_classes(shared)}
    if shared.digest is not None:
        rows["Digest of the gate"] = f"`{shared.digest}`"
    return "\n".join(f"- {name}: {plain(text)}" for name, text in rows.items())


def _ranking(shared: Shared) -> dict[str, str]:
    oracle, gate = shared.oracle, shared.gate
    if oracle is None:
        judge = None if gate is None else gate.source
        return {"Ranks by": "a confidence that you bring" if judge is None else f"the score `{judge.name}`"}
    if oracle.is_image_oracle:
        seen = "the image, through a backbone of its own"
    else:
        seen = f"the classifier's {', '.join(oracle.arrays)}"
    return {"Ranks by": f"the trust logit of an oracle ({type(oracle).__name__})", "Sees": seen, "Loss": oracle.loss}


def _classifier(shared: Shared) -> dict[str, str]:
    gate, record = shared.gate, None if shared.oracle is None else shared.oracle.record_
    if gate is not None and gate.origin.classifier is not None:
        named = {"Classifier": gate.origin.classifier, "Second backbone": gate.origin.auxiliary}
        nets = {name: net for name, net in named.items() if net is not None}
        rows = {name: f"`{spec_of(net)}`, digest `{net.digest}`" for name, net in nets.items()}
        return {**rows, "Its input": ", ".join(f"{key} {value}" for key, value in nets["Classifier"].transform.items())}
    if record is not None and record.classifier is not None:
        return {"Classifier": f"the one of digest `{record.classifier}`"}
    return {"Classifier": "not recorded: ask whoever shared this"}


def _classes(shared: Shared) -> dict[str, str]:
    record = None if shared.oracle is None else shared.oracle.record_
    names = shared.gate.classes if shared.gate is not None else None if record is None else record.classes
    if not names:
        return {}
    more = f", … ({len(names):,} in all)" if len(names) > SHOWN else ""
    return {"Classes": ", ".join(map(str, names[:SHOWN])) + more}


def plain(text: str) -> str:
    r"""Return text on one line, without what Markdown or HTML would take for markup.

    >>> plain("a\n<b>")
    'a &lt;b>'
    """
    return " ".join(text.split()).replace("<", "&lt;")


def shell_lines(shared: Shared, place: str) -> list[str]:
    """Return commands that use it."""
    install, gate = "pip install 'steepslope[hub]'", shared.gate
    if gate is None:
        return [install, f"steepslope evaluate --outputs OUTPUTS --scores {place} --out report"]
    if gate.source is None:
        return [install]
    if gate.origin.classifier is None:
        return [install, f"steepslope predict --gate {place} --outputs OUTPUTS --out decisions.csv"]
    given = "".join(f" --{name} {shlex.quote(spec)}" for name, spec in own_specs(gate).items())
    return [install, f"steepslope predict --gate {place}{given} --data images:FOLDER --out decisions.csv"]


def python_code(shared: Shared, place: str) -> str:
    """Return a few lines of Python that use it."""
    gate, load = shared.gate, 'ClassifierOutputs.load("OUTPUTS")'
    if gate is None:
        lines = ["from steepslope import ClassifierOutputs, Oracle", "", f'oracle = Oracle.load("{place}")']
        if shared.oracle is not None and shared.oracle.is_image_oracle:
            lines[0] = f"from steepslope.data.specs import parse_dataset\n{lines[0]}"
            lines.append('oracle = oracle.on(parse_dataset("images:FOLDER").open())')
        return "\n".join([*lines, f"trust_logit = oracle.trust_logit({load})  # (n,), higher: more to be trusted"])
    if gate.source is None:
        named = ", groups" if gate.has_groups else ""
        call = f"accepted = gate.accepts(confidence{named})  # the same confidence as in its calibration, (n,)"
        return "\n".join(["from steepslope import Gate", "", f'gate = Gate.load("{place}")', call])
    if gate.origin.classifier is None:
        start = ["from steepslope import ClassifierOutputs, Gate", "", f'gate = Gate.load("{place}")']
        return "\n".join([*start, f"decisions = gate.decide({load})", *_shown()])
    spec = "".join(f', {name}="{spec}"' for name, spec in own_specs(gate).items())
    start = ["from PIL import Image", "from steepslope import Gate", "", f'gate = Gate.load("{place}"{spec})']
    return "\n".join([*start, 'decisions = gate.predict([Image.open("IMAGE")])', *_shown()])


def _shown() -> list[str]:
    return ["print(decisions.labels, decisions.p_correct, decisions.accepted)"]


def usage_note(shared: Shared) -> str:
    """Return what a reader has to put in the place of what is written in capitals."""
    gate, oracle = shared.gate, shared.oracle
    if gate is not None and gate.source is None:
        return "The confidence has to be computed as it was for the calibration rows, which is not recorded here."
    if gate is not None and gate.origin.classifier is not None:
        placed = [name.upper() for name, spec in own_specs(gate).items() if not spec.startswith(CODE)]
        where = "".join(f"; `{name}` is where it lies on your machine" for name in placed)
        return f"The digest of each net is compared before it is used{where}."
    judge = None if gate is None else gate.source
    seen = judge if judge is not None else oracle
    arrays = "" if seen is None else ", ".join(seen.arrays)
    images = " The images are found by their ids." if oracle is not None and oracle.is_image_oracle else ""
    return (
        f"`OUTPUTS` is a folder of `steepslope extract`, or a .npz, .csv or .parquet file, with {arrays} of that "
        f"classifier.{images}"
    )


def own_specs(gate: Gate) -> dict[str, str]:
    """Return specs of the nets of which a gate's user has to say where they lie, or that their code may be run."""
    nets = {"classifier": gate.origin.classifier}
    if gate.source is not None and AUXILIARY in gate.source.arrays:
        nets[AUXILIARY] = gate.origin.auxiliary
    given = {name: net.spec for name, net in nets.items() if net is not None}
    return {
        name: spec if spec.startswith(CODE) else PLACE.sub(name.upper(), spec)
        for name, spec in given.items()
        if spec.startswith(CODE) or PLACE.search(spec)
    }


def limits(shared: Shared) -> Iterator[str]:
    """Yield what else it rests on: how many rows and errors, and hand-over."""
    record, gate = None if shared.oracle is None else shared.oracle.record_, shared.gate
    if record is not None and len(record.rows):
        yield f"**What it learnt from**: the oracle was fitted on {len(record.rows):,} predictions of the classifier."
    if gate is not None:
        errors = len(gate.of_errors)
        counted = f"of the {gate.n:,} calibration rows, {errors:,} were wrong"
        yield f"**What was counted**: {counted}; the promise rests on these alone."
    usual = None if shared.oracle is None else shared.oracle.usual_handover
    if usual is not None:
        yield (
            f"**Unfamiliar images**: where an image looks unlike its fit set, the oracle hands over to evidence that "
            f"needs no second backbone; of its fit set, {100 * usual:.0f} % on average. `predict` warns where it is "
            "far more. That warning cannot notice all that goes wrong."
        )


def inside(shared: Shared, shapes: Shapes, has_paths: bool) -> Iterator[str]:
    """Yield what of the rows that it learnt from can be read off its arrays, and which arrays these are."""
    points = [name for name in shapes if re.split("[/:]", name)[-1] == POINTS]
    yield from (_in_array(name, shapes[name], shapes) for name in points)
    record = None if shared.oracle is None else shared.oracle.record_
    if record is not None and len(record.rows):
        told = "id and logits" if record.rows.told_by == "ids" else "logits and label"
        yield (
            f"**Hashes** of 64 bits of the {len(record.rows):,} rows that the oracle was fitted on "
            f"({_named(shapes, HASHES_ARRAY)}): whoever has a row's {told} can tell whether it was among these."
        )
    if shared.kind == GATE and shared.gate is not None:
        yield (
            f"**Confidences** of the {len(shared.gate.of_errors):,} calibration rows that were wrong, without ids "
            f"({_named(shapes, ERRORS_ARRAY)})."
        )
        yield _of_calibration(shared.gate, _named(shapes, CALIBRATION_ARRAY))
    yield from _sums(shared, shapes)
    if has_paths:
        yield "**Paths** of the machine on which it was made, in the `.json` files."


def _named(shapes: Shapes, start: str) -> str:
    """Return the names of arrays, as Markdown, that begin so, below the oracle's folder or not."""
    return ", ".join(f"`{name}`" for name in shapes if name.removeprefix("oracle/").startswith(start))


def _of_calibration(gate: Gate, names: str) -> str:
    if names:
        return (
            f"**What the gate makes of each of the {gate.n:,} calibration rows**, in their order, without ids: "
            f"P(correct), the classifier's probability, whether it is correct, and whether it is accepted ({names})."
        )
    return (
        f"Left out is what the gate makes of each of the {gate.n:,} calibration rows. Decisions do not need it; "
        "`steepslope monitor` takes labelled outputs in its place (`--calibration`)."
    )


def _sums(shared: Shared, shapes: Shapes) -> Iterator[str]:
    """Yield what the arrays are that have no row for each of some rows, by their files."""
    others = [name for name in shapes if not _is_by_row(name)]
    files = ", ".join(f"`{file}:`" for file in dict.fromkeys(name.partition(":")[0] for name in others))
    if shared.oracle is not None and shared.oracle.is_image_oracle:
        yield f"**Weights of a net that was trained on images**, which may have memorised some of them (in {files})."
    elif others:
        yield f"**Sums over rows**, such as weights, means and percentiles: all other arrays in {files}."
    else:
        yield "**Sums over rows**, such as those of the certificate, in `gate.json`."


def _is_by_row(name: str) -> bool:
    own = name.removeprefix("oracle/")
    return own.startswith((ERRORS_ARRAY, HASHES_ARRAY, CALIBRATION_ARRAY)) or re.split("[/:]", name)[-1] in (
        POINTS,
        SQUARES,
    )


def _in_array(name: str, shape: tuple[int, ...], shapes: Shapes) -> str:
    count, width = shape[0], shape[1] if len(shape) > 1 else 1
    lengths = name.removesuffix(POINTS) + SQUARES
    named = f"`{name}`; their squared lengths: `{lengths}`" if lengths in shapes else f"`{name}`"
    return (
        f"**Features of {count:,} rows**, {width} numbers each, in the order of their classes ({named}), with which "
        "new rows are compared: of reference rows, usually the classifier's training images, of rows that the oracle "
        "was fitted on, or of altered copies of these. From features, something of an image can often be recovered, "
        "and whoever has the image can tell whether it is among them."
    )
