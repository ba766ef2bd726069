"""A gate's nets, had again: by their recorded spec, or as they are given, if they are the recorded ones."""

from dataclasses import replace
from pathlib import Path

from torch import nn

from steepslope.classifiers.backbones import live_classifier, module_source_digest
from steepslope.classifiers.classifier import Classifier
from steepslope.classifiers.specs import load_classifier
from steepslope.data.transforms import Transform
from steepslope.errors import SteepslopeError
from steepslope.gate.origin import NetRecord
from steepslope.oracle.storage import CODE

Given = str | Classifier | nn.Module | None  # a spec, a classifier, a net from images to logits, or what is recorded


def load_net(record: NetRecord | None, given: Given, place: str) -> Classifier:
    """Return the net that is given, or else that of the recorded spec; raise unless it is the recorded one.

    What is code of one's own has to be given, since no file gets to name code to run. ``place`` names the net in
    errors. Where nothing is recorded, only a classifier with its transform will do.
    """
    if record is None:
        if isinstance(given, Classifier):
            return given
        expected = "expected calibration outputs that extract made, which record the net"
        raise SteepslopeError(f"{expected}, found others: give a Classifier, with its transform", place)
    transform = Transform.of(record.transform, Path(f"the transform of {record.spec}"))
    if isinstance(given, nn.Module):
        return _live(record, given, transform, place)
    if given is None and record.spec.startswith(CODE):
        raise SteepslopeError(f"{record.spec} is code of your own, which no file gets to run: name it yourself", place)
    net = given if isinstance(given, Classifier) else _by_spec(record, given, place)
    if net.digest != record.digest:
        raise record.other(net.digest, place)
    return net.with_transform(preprocessing=transform)


def _by_spec(record: NetRecord, given: str | None, place: str) -> Classifier:
    if given is not None:
        return load_classifier(given)
    try:
        return load_classifier(record.spec)
    except SteepslopeError as error:
        raise SteepslopeError(f"{error} (where the same net lies elsewhere, give its spec as {place})") from error


def _live(record: NetRecord, net: nn.Module, transform: Transform, place: str) -> Classifier:
    """Return a net of the caller's as the classifier; one of a module's is told with the module's source, too."""
    found = live_classifier(record.spec, net, transform)
    digests = [found.digest]
    if record.spec.startswith(CODE):
        digests.append(module_source_digest(found.digest, record.spec.removeprefix(CODE).partition(":")[0]))
    if record.digest not in digests:
        raise record.other(digests[-1], place)
    known = replace(found, digest=record.digest)  # else its own outputs would be taken for another's
    return known.with_transform(preprocessing=transform)
