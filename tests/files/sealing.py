"""Small things in sealed folders, and cards that are edited by hand, with digests to match."""

from pathlib import Path
from typing import Any

from steepslope.files._artifact import DIGEST, MADE, Artifact
from steepslope.files._folders import read_json

INNER = Artifact("an inner thing", "inner.json")
OUTER = Artifact("a thing", "card.json", varying=("b", "inside"), optional="c", inside="inside/inner.json")
WRITE = """
import sys
from pathlib import Path
from tests.files.sealing import write
while not Path(sys.argv[2]).exists():
    write(Path(sys.argv[1]), sys.argv[3])
    Path(sys.argv[2] + sys.argv[3]).touch()
"""


def write(folder: Path, text: str, inside: bool = True) -> None:
    """Write a thing whose files all hold a text, with another thing in a folder of its own."""
    with OUTER.staged(folder) as staging:
        for name in ("a", "b", "c") if inside else ("a",):
            (staging / name).write_text(text)
        if inside:
            with INNER.staged(staging / "inside") as deeper:
                (deeper / "d").write_text(text)
                INNER.seal(deeper, {"text": text})
        OUTER.seal(staging, {"text": text}, {"by": text})


def seal_again(kind: Artifact, folder: Path, **changes: Any) -> None:
    """Change a card, and make its digests those of the files that are there now."""
    card = {**read_json(folder / kind.card, kind.what), **changes}
    kind.seal(folder, {name: card[name] for name in card if name not in (DIGEST, MADE)}, card.get(MADE))
