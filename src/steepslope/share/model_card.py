"""The model card of what is shared: what it promises, for which classifier, and what it does not do.

Its prose is ``model_card.md.jinja``; here is what that reads off the gate or oracle, and off its arrays.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from steepslope.files.extras import require_extra
from steepslope.files.hub import LIBRARY
from steepslope.gate import Gate
from steepslope.gate.confidence_source import NetRecord
from steepslope.nets.training.loading import CODE
from steepslope.oracle.handover import AUXILIARY
from steepslope.outputs.arrays import OPINION, is_opinion_array
from steepslope.report.grid import plain_in_markdown
from steepslope.share.sharing import Shared, local_paths_in_shared, shared_tensor_shapes

TASK = "selective-classification"
TAGS = (LIBRARY, TASK, "failure-prediction", "uncertainty-estimation")
PLACE = re.compile(r"(?<=^checkpoint:).*|(?<=^onnx:).*|(?<=[?&]weights=)[^&]*[/.][^&]*")  # on somebody's machine
BY_ROW = {"hashes": "fit_rows:", "calibration": "calibration_rows:"}  # how arrays begin
POINTS, SQUARES = "points", "squares"  # arrays of an index of neighbours, which have a row for each reference
Shapes = Mapping[str, tuple[int, ...]]


def model_card(shared: Shared, folder: Path, place: str, license: str | None = None) -> str:
    """Return the text of ``README.md``: metadata for the Hub, then what people have to know.

    ``folder`` is the one that is shared, ``place`` what it will be loaded by, ``hub:user/name`` or a folder, and
    ``license`` the name of one as the Hub has it.
    """
    hub = require_extra("huggingface_hub", "hub", "a model card")
    name = place.rstrip("/").split("/")[-1].partition("@")[0]
    tags = [*TAGS, shared.kind]
    data = hub.ModelCardData(library_name=LIBRARY, license=license, tags=tags, model_name=name)
    environment = Environment(
        loader=PackageLoader("steepslope.share", "."), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        autoescape=False, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"plain": plain_in_markdown, "number": "{:,}".format, "quote": shlex.quote}
    gate = shared.gate
    body = environment.get_template("model_card.md.jinja").render(
        title=name, place=place, shared=shared, gate=gate, oracle=shared.oracle, source=shared.source,
        nets={} if gate is None else card_specs_to_give(gate),
        words=card_specs_as_words,
        from_outputs=gate is not None and card_is_of_outputs(gate), code=CODE, spec_of=card_spec,
        assumes=() if gate is None else gate.assumptions,
        has_paths=bool(local_paths_in_shared(folder)),
        **card_arrays(shared_tensor_shapes(folder)),
    )  # fmt: skip
    return str(hub.ModelCard(f"---\n{data.to_yaml()}\n---\n\n{body}")).rstrip() + "\n"


def card_spec(net: NetRecord) -> str:
    """Return a net's spec without the folders in which it lies on somebody's machine.

    >>> specs = ["checkpoint:/home/me/runs/net", "timm:resnet18", "timm:resnet18?weights=/home/me/own.pt"]
    >>> [card_spec(NetRecord(spec, "", {})) for spec in specs]
    ['checkpoint:net', 'timm:resnet18', 'timm:resnet18?weights=own.pt']
    """
    return PLACE.sub(lambda place: place[0].rstrip("/").split("/")[-1], net.spec)


def card_is_of_outputs(gate: Gate) -> bool:
    """Return whether a gate is used on outputs alone: it knows of no net of the classifier, or of an opinion."""
    opinions = () if gate.source is None else gate.source.opinions
    return gate.origin.classifier is None or any(name not in gate.origin.opinions for name in opinions)


def card_specs_to_give(gate: Gate) -> dict[str, str]:
    """Return specs of the nets of which a gate's user has to say where they lie, or that their code may be run.

    Those of opinions go by the names of their arrays.
    """
    nets = {"classifier": gate.origin.classifier}
    if gate.source is not None and AUXILIARY in gate.source.arrays:
        nets[AUXILIARY] = gate.origin.auxiliary
    if gate.source is not None:
        nets |= {f"{OPINION}{name}": gate.origin.opinions.get(name) for name in gate.source.opinions}
    specs = {name: net.spec for name, net in nets.items() if net is not None}
    return {
        name: spec if spec.startswith(CODE) else PLACE.sub(name.upper(), spec)
        for name, spec in specs.items()
        if spec.startswith(CODE) or PLACE.search(spec)
    }


def card_specs_as_words(specs: Mapping[str, str]) -> str:
    """Return specs as one types them.

    >>> card_specs_as_words({"classifier": "onnx:CLASSIFIER", "opinion_big": "checkpoint:OPINION_BIG"})
    ' --classifier onnx:CLASSIFIER --opinion big=checkpoint:OPINION_BIG'
    """
    opinions = {name: f"{name.removeprefix(OPINION)}={spec}" for name, spec in specs.items() if is_opinion_array(name)}
    nets = [f" --{name} {shlex.quote(spec)}" for name, spec in specs.items() if name not in opinions]
    return "".join([*nets, *(f" --opinion {shlex.quote(one)}" for one in opinions.values())])


def card_arrays(shapes: Shapes) -> dict[str, Any]:
    """Return what arrays hold of single rows, by their names: features, hashes and calibration rows.

    ``points`` are features with their shape, and the name of their squared lengths, if these are there; ``files`` are
    those that hold any other arrays.
    """
    points = [name for name in shapes if _last_name_for_card(name) == POINTS]
    lengths = {name: name.removesuffix(POINTS) + SQUARES for name in points}
    begun = {
        what: [name for name in shapes if name.removeprefix("oracle/").startswith(start)]
        for what, start in BY_ROW.items()
    }
    by_row = {name for names in begun.values() for name in names}
    others = [name for name in shapes if name not in by_row and _last_name_for_card(name) not in (POINTS, SQUARES)]
    return {
        "points": [(name, shapes[name], lengths[name] if lengths[name] in shapes else "") for name in points],
        **{what: _quoted_for_card(names) for what, names in begun.items()},
        "files": _quoted_for_card([f"{file}:" for file in dict.fromkeys(name.partition(":")[0] for name in others)]),
    }


def _last_name_for_card(name: str) -> str:
    return re.split("[/:]", name)[-1]


def _quoted_for_card(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
