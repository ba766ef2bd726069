"""The classifier whose predictions a gate judges, and the auxiliary backbone, as an extraction recorded them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from steepslope.errors import SteepslopeError
from steepslope.files.folders import field
from steepslope.outputs.folder import AUXILIARY, extraction_of

SHORT = 12  # characters of a digest that are shown


@dataclass(frozen=True)
class NetRecord:
    """A net's spec, the digest that tells it from others, and the transform of its input as JSON holds it."""

    spec: str
    digest: str
    transform: Mapping[str, Any]

    @classmethod
    def of(cls, recorded: Mapping[str, Any], path: Path) -> NetRecord | None:
        """Return the record in a manifest's extraction, or in a card; None where there is none."""
        if "digest" not in recorded:
            return None
        name = "classifier" if "classifier" in recorded else "spec"
        spec, digest = (str(field(recorded, one, str, path)) for one in (name, "digest"))
        return cls(spec, digest, field(recorded, "transform", dict, path))

    def other(self, digest: str, place: str) -> SteepslopeError:
        """Return the error of another net than this, with the digest that was found."""
        return SteepslopeError(
            f"expected the net that the gate was calibrated for (digest {self.digest[:SHORT]}), found another "
            f"({digest[:SHORT]}): calibrate a gate for that one",
            place,
        )


@dataclass(frozen=True)
class Origin:
    """The nets of calibration outputs, and how these were extracted; None, or nothing, where it is not recorded.

    ``views`` and ``passes`` are those of the evidence of these names.
    """

    classifier: NetRecord | None = None
    auxiliary: NetRecord | None = None
    views: tuple[str, ...] | None = None
    passes: int | None = None
    precision: str = "32"
    features: str | None = None

    @classmethod
    def of_folder(cls, folder: Path) -> Origin:
        """Return what the manifests of a folder of outputs record; nothing of files."""
        made = extraction_of(folder)
        path = folder / "manifest.json"
        views, passes = made.get("views"), made.get("passes")
        return cls(
            NetRecord.of(made, path),
            NetRecord.of(extraction_of(folder / AUXILIARY), folder / AUXILIARY / "manifest.json"),
            None if views is None else tuple(views),
            None if passes is None else int(passes[0]),
            str(made.get("precision", "32")),
            made.get("features"),
        )

    def as_json(self) -> dict[str, Any]:
        """Return all of it, as JSON holds it."""
        return asdict(self)

    @classmethod
    def read(cls, content: Mapping[str, Any], path: Path) -> Origin:
        """Return what JSON holds."""
        nets = (content.get(name) for name in ("classifier", "auxiliary"))
        classifier, auxiliary = (None if one is None else NetRecord.of(one, path) for one in nets)
        views, passes = content.get("views"), content.get("passes")
        named = None if views is None else tuple(map(str, views))
        precision, features = str(content.get("precision", "32")), content.get("features")
        return cls(classifier, auxiliary, named, passes, precision, features)

    def require_classifier(self, digest: str | None) -> None:
        """Raise if outputs are known to be another classifier's."""
        if self.classifier is not None and digest not in (None, self.classifier.digest):
            raise self.classifier.other(str(digest), "outputs")


UNKNOWN = Origin()
