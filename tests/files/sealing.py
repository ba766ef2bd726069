"""Cards that are edited by hand, with digests to match."""

from pathlib import Path
from typing import Any

from steepslope.files.artifact import DIGEST, MADE, Artifact
from steepslope.files.folders import read_json


def seal_again(kind: Artifact, folder: Path, **changes: Any) -> None:
    """Change a card, and make its digests those of the files that are there now."""
    card = {**read_json(folder / kind.card, kind.what), **changes}
    kind.seal(folder, {name: card[name] for name in card if name not in (DIGEST, MADE)}, card.get(MADE))
