"""The resume key: all that decides an extraction's outputs, and what a folder that holds others is told by."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from steepslope.classifiers.classifier import Classifier
from steepslope.data.images import Dataset
from steepslope.extraction.noise import ESTIMATES
from steepslope.extraction.options import ExtractionOptions
from steepslope.outputs.folder import MANIFEST, VERSION
from steepslope.utilities.files import read_json, require_same

SHARDS = ".shards"
KEY = "key.json"
OTHERS = "outputs of another extraction"


def extraction_key(classifier: Classifier, data: Dataset, source: str, options: ExtractionOptions) -> dict[str, Any]:
    """Return all that decides the outputs, as JSON holds it."""
    views, dropout = "views" in options.evidence, "dropout" in options.evidence
    library = classifier.runs_on
    key = {
        "classifier": classifier.spec,
        "digest": classifier.digest,
        "transform": asdict(classifier.transform),
        "data": source,
        "fingerprint": data.fingerprint(),
        "evidence": options.evidence,
        "views": options.views if views else None,
        "noise": ESTIMATES if views else None,
        "passes": [options.passes, options.batch_size] if dropout else None,
        "features": options.features if "features" in options.evidence else None,
        "precision": options.precision,
        "on_error": options.on_error,
        "shard_rows": options.shard_rows,
        "versions": {"outputs": str(VERSION), library: ".".join(version(library).split(".")[:2])},
    }
    return dict(json.loads(json.dumps(key)))


def is_complete(out: Path, key: Mapping[str, Any]) -> bool:
    """Return whether the folder holds these outputs; refuse one that holds others, whole or in part.

    An unfinished one may go on with repaired images, or skip those that stopped it: shards know their own rows.
    """
    if (out / MANIFEST).exists():
        found = read_json(out / MANIFEST, "classifier outputs").get("extraction") or {}
        require_same(out, OTHERS, found, key, free=("classifier", "data", "shard_rows"))
        shutil.rmtree(out / SHARDS, ignore_errors=True)
        return True
    if (out / SHARDS / KEY).exists():
        found = read_json(out / SHARDS / KEY, "an unfinished extraction")
        skipping = ["on_error"] if key["on_error"] == "skip" else []
        require_same(out, OTHERS, found, key, free=["classifier", "data", "fingerprint", *skipping])
    return False
