"""One data set and the classifier around it, as data: a YAML file in ``presets/`` each."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from steepslope.errors import (
    SEED,
    Check,
    SteepslopeError,
    choice,
    each,
    located,
    number,
    optional,
    require,
    require_all,
    require_known,
    whole,
)
from steepslope.files import dataclass_from_yaml, read_yaml, set_in_yaml
from steepslope.outputs import require_opinion_name

FOLDER = Path(__file__).parent / "presets"
KINDS = ("text", "table", "sound", "image", "probabilities")
TABLES = "evidence"  # so the file of all tables is called, which lies next to those of rows
TEXT = Check("text", lambda value: isinstance(value, str))
NAMED = Check("names and values", lambda value: isinstance(value, Mapping))
FOLDER_NAME = Check(
    "names that a folder may have",
    lambda name: isinstance(name, str) and Path(name).name == name and name not in ("", ".."),
)
LEAST_RESAMPLES = 100  # fewer may all lack errors where these are rare, and then there is no interval
CHECKS: dict[str, Check] = {
    "name": Check(f"another name than that of the tables, {TABLES}", lambda name: name != TABLES),
    **dict.fromkeys(("title", "source", "note", "classifier"), TEXT),
    "kind": choice(*KINDS),
    **dict.fromkeys(("read", "opinions", "train", "input", "shifted", "rivals"), NAMED),
    "seeds": each(SEED),
    "test": number(0.01, 0.99),
    "most_rows": optional(whole(100)),
    "references": whole(1),
    "passes": whole(0),
    "restricted": Check("true or false", lambda value: isinstance(value, bool)),
    "resamples": whole(LEAST_RESAMPLES),
}
NEEDED: dict[str, tuple[str, ...]] = {  # settings of ``read`` that a kind of data cannot do without
    "text": ("text",),
    "table": (),
    "sound": ("array",),
    "image": ("labelled",),
    "probabilities": ("first", "second", "won"),
}
OF_IMAGES = ("train", "labelled", "reference")
TAKEN = {"opinions": ("free",), "shifted": ("test", "labelled", "reference")}  # names with a meaning of their own


@dataclass(frozen=True, kw_only=True)
class Preset:
    """What is measured: rows, the classifier that its people would use, and other classifiers' opinions.

    ``read`` are the settings of a reader of ``rows``, or the specs of images below the data folder.
    ``classifier`` is a name in ``ESTIMATORS``, the spec of a frozen net, or empty where ``train`` has settings of
    train-classifier, one net a seed. ``opinions`` are other classifiers by name, likewise. ``test`` is which part of
    texts, tables or sounds is judged. ``shifted`` are further rows by name: what changes in ``read``. ``input`` are the
    ``size``, ``mean`` and ``std`` of nets, ``references`` how many of their training images are references, ``passes``
    forward passes with dropout. ``rivals`` are scores of one's own, ``module:name`` by the names of their lines.
    With ``restricted``, a net knows the classes of the data alone. ``source`` says who made the data, where they are
    and, if that is known, under which licence.
    """

    name: str
    title: str
    kind: Literal["text", "table", "sound", "image", "probabilities"]
    source: str
    read: Mapping[str, Any]
    classifier: str = ""
    opinions: Mapping[str, str] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)
    input: Mapping[str, Any] = field(default_factory=dict)
    shifted: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    test: float = 0.4
    most_rows: int | None = None
    references: int = 20_000
    passes: int = 0
    restricted: bool = False
    seeds: tuple[int, ...] = (0, 1, 2)
    resamples: int = 1000
    note: str = ""
    rivals: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_all(self, CHECKS)
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise SteepslopeError(f"expected one seed or several different ones, found {self.seeds}", "seeds")
        for setting in NEEDED[self.kind]:
            if setting not in self.read:
                raise SteepslopeError(f"expected {setting} for the kind {self.kind}, found none", "read")
        self._require_names()
        if self.kind == "image":
            self._require_nets()

    def _require_names(self) -> None:
        """Raise unless opinions and shifts have names that rows of evidence, and folders, can take."""
        for name, classifier in self.opinions.items():
            require_opinion_name(str(name))
            require(f"opinions.{name}", classifier, TEXT)
        for name, change in self.shifted.items():
            require("shifted", name, FOLDER_NAME)
            require(f"shifted.{name}", change, NAMED)
        for setting, taken in TAKEN.items():
            for name in {*taken} & {*getattr(self, setting)}:
                raise SteepslopeError(f"expected another name than {name}, which means something else", setting)

    def _require_nets(self) -> None:
        """Raise unless all images have a spec, and each net has one or is trained."""
        for place, specs in (("read", self.read), *((f"shifted.{name}", one) for name, one in self.shifted.items())):
            for name, spec in specs.items():
                require_known(f"setting of {place}:", name, OF_IMAGES)
                require(f"{place}.{name}", spec, TEXT)
            if "labelled" not in specs:
                raise SteepslopeError("expected labelled, the spec of images, found none", place)
        needs_training = not all([self.classifier, *self.opinions.values()])
        if needs_training and not ("net" in self.train and "train" in self.read):
            raise SteepslopeError(
                "expected a net here, and its images in read.train, to train what has no spec", "train"
            )

    def as_json(self) -> dict[str, Any]:
        """Return what decides the numbers, as JSON holds it."""
        free = ("title", "source", "seeds", "note", *(() if self.rivals else ("rivals",)))
        return {name: value for name, value in asdict(self).items() if name not in free}


def evidence_preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_evidence_preset(
    name: str, changes: Mapping[str, str] | None = None, seeds: tuple[int, ...] | None = None
) -> Preset:
    """Read a preset by its name, or from a YAML file of one's own; ``changes`` maps places in it to text of YAML.

    >>> read_evidence_preset("banking77").kind
    'text'

    Raises
    ------
    SteepslopeError
        If there is none of that name, or a field or place is unknown; the message has the closest name.
    """
    is_file = name.endswith((".yaml", ".yml"))
    if not is_file:
        require_known("preset", name, evidence_preset_names())
    with located(name if is_file else f"preset {name}"):
        content = read_yaml(Path(name) if is_file else FOLDER / f"{name}.yaml")
        for place, text in (changes or {}).items():
            set_in_yaml(content, place, text)
        chosen = {} if seeds is None else {"seeds": seeds}
        return dataclass_from_yaml(Preset, {**content, **chosen, "name": Path(name).stem}, "a preset of evidence")
