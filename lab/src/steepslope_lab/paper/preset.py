"""On what an experiment runs: data, nets, pairs of oracle and classifier, seeds; a YAML file in ``presets/`` each.

It names trainings of :mod:`steepslope.nets.training._recipes`.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from steepslope.errors import (
    SEED,
    Check,
    SteepslopeError,
    choice,
    each,
    located,
    optional,
    require_all,
    require_known,
    whole,
)
from steepslope.files import dataclass_from_yaml, read_yaml, set_in_yaml
from steepslope.nets.training import training_recipes

FOLDER = Path(__file__).parent / "presets"
INPUT = ("size", "mean", "std", "resize")
GROUPS = ("pairs", "recipe")
NET_CHECKS: dict[str, Check] = {
    "passes": whole(0),
    "size": optional(whole(1)),
    "resize": optional(choice("crop", "squash")),
    "batch_size": whole(1),
    "features": choice("float32", "float16"),
}
CHECKS: dict[str, Check] = {
    "seeds": each(SEED),
    "holdout": optional(whole(1)),
    "train_images": optional(whole(1)),
    "rows": whole(0),
    "crop": optional(whole(1)),
    "side": optional(whole(1)),
    "resamples": whole(0),
}


@dataclass(frozen=True, kw_only=True)
class Net:
    """A classifier, or the backbone of an oracle.

    It is either frozen, by its ``spec``, or trained here, one a seed, by settings of train-classifier in ``train``; its
    ``size``, ``mean``, ``std`` (a number, or one a channel) and ``resize`` change a frozen one's input. With ``probe``
    the classifier is a linear one on its features, one a seed. ``passes`` are forward passes with dropout, 0 where it
    has none; ``auxiliary`` names the net whose features the fused oracle of budget auxiliary sees too.
    """

    spec: str = ""
    train: Mapping[str, Any] = field(default_factory=dict)
    probe: bool = False
    passes: int = 0
    auxiliary: str | None = None
    size: int | None = None
    mean: tuple[float, ...] | float | None = None
    std: tuple[float, ...] | float | None = None
    resize: Literal["crop", "squash"] | None = None
    batch_size: int = 64
    features: Literal["float32", "float16"] = "float32"

    def __post_init__(self) -> None:
        require_all(self, NET_CHECKS)

    @property
    def is_seeded(self) -> bool:
        """Whether there is one a seed as a classifier."""
        return bool(self.train) or self.probe

    @property
    def input(self) -> dict[str, Any]:
        """What is changed of its input."""
        return {name: getattr(self, name) for name in INPUT if getattr(self, name) is not None}


@dataclass(frozen=True, kw_only=True)
class Pair:
    """⟨oracle, classifier⟩, by the names of nets, and how such oracles are trained on images: settings of finetune.

    ``fit_rows`` is how many of the classifier's training rows they are trained on, drawn by the seed; None are all.
    """

    oracle: str
    classifier: str
    training: Mapping[str, Any]
    fit_rows: int | None = None

    @property
    def title(self) -> str:
        """The pair as tables name it."""
        return f"⟨{self.oracle}, {self.classifier}⟩"

    @property
    def is_live(self) -> bool:
        """Whether the classifier is run on each augmented image, as the authors do."""
        return "classifier" in self.training

    @property
    def selects(self) -> bool:
        """Whether epochs are compared on held-out rows."""
        return bool(self.training.get("select", "last") != "last")


@dataclass(frozen=True, kw_only=True)
class Preset:
    """All that an experiment runs on.

    ``data`` are labelled images: a spec that has a training and a test split, or a folder with the subfolders train and
    val, or train and test. Of those of a folder, or of ``test_data``, ``holdout`` test images are held out, since the
    classifier has seen all others. ``train_images`` is how many it was trained on, by which a plan without images tells
    the steps. ``rows`` is how many test images a shift changes, 0 all; ``crop`` the side to which
    these are brought first, and ``side`` that at which they are stylised. ``stylizer`` are settings of its training,
    with the ``net`` that it begins with, ``styles`` the folder of its styles, and ``trained_stylizer`` one that is
    there. ``features`` are settings of all oracles on features, ``recolor`` those of the attack, ``sweep`` the
    candidates of a sweep. ``stands_for`` maps nets to the paper's names; ``is_paper_data`` tells whether the data are
    the paper's, and ``note`` what is to be known of all its tables.
    """

    name: str
    data: str
    nets: Mapping[str, Net]
    pairs: tuple[Pair, ...] = ()
    recipe: tuple[Pair, ...] = ()
    seeds: tuple[int, ...] = (0, 1, 2)
    test_data: str | None = None
    holdout: int | None = None
    train_images: int | None = None
    copies: bool = True
    features: Mapping[str, Any] = field(default_factory=dict)
    rows: int = 0
    crop: int | None = None
    side: int | None = None
    stylizer: Mapping[str, Any] = field(default_factory=dict)
    styles: str | None = None
    trained_stylizer: str | None = None
    recolor: Mapping[str, Any] = field(default_factory=dict)
    sweep: Mapping[str, Any] = field(default_factory=dict)
    resamples: int = 1000
    stands_for: Mapping[str, str] = field(default_factory=dict)
    is_paper_data: bool = False
    note: str = ""

    def __post_init__(self) -> None:
        require_all(self, CHECKS)
        if not self.seeds or len({*self.seeds}) < len(self.seeds):
            raise SteepslopeError(f"expected one seed or several different ones, found {self.seeds}", "seeds")

    @property
    def groups(self) -> dict[str, tuple[Pair, ...]]:
        """The pairs by the names of groups, as experiments have them."""
        return {
            "all": self.pairs, "first": self.pairs[:1], "first-two": self.pairs[:2], "last-two": self.pairs[2:],
            "recipe": self.recipe,
        }  # fmt: skip

    def group(self, name: str) -> tuple[Pair, ...]:
        """Return the pairs of a group; raise if there are none."""
        require_known("group of pairs", name, self.groups)
        pairs_of_group = self.groups[name]
        if not pairs_of_group:
            others = ", ".join(one for one, pairs in self.groups.items() if pairs)
            raise SteepslopeError(f"expected pairs for {name}, found only those for {others}", f"preset {self.name}")
        return pairs_of_group

    def is_backbone(self, name: str) -> bool:
        """Return whether only a net's features are used, so that its classes may be others than the data's."""
        return self.nets[name].probe or all(pair.classifier != name for pair in (*self.pairs, *self.recipe))

    def as_json(self) -> dict[str, Any]:
        """Return what decides the results, as JSON holds it."""
        free = ("name", "seeds", "sweep", "stands_for", "is_paper_data", "note")
        return {name: value for name, value in asdict(self).items() if name not in free}

    def changed(self, **others: Any) -> Self:
        """Return the same with what is not None in place of its own."""
        return replace(self, **{name: value for name, value in others.items() if value is not None})


MAPPINGS = tuple(one.name for one in fields(Preset) if one.default_factory is dict)


def paper_preset_names() -> list[str]:
    """Return the names of all presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read_paper_preset(name: str, changes: Mapping[str, str] | None = None) -> Preset:
    """Read a preset by its name, or from a YAML file of one's own.

    ``changes`` maps places in it, such as ``nets.vit.spec``, to text that YAML reads. They reach into the settings that
    a training has by the name of a preset: ``recipe.0.training.stages.0.epochs``.

    Raises
    ------
    SteepslopeError
        If there is no such preset, or a field, net or place is unknown; the message has the closest name.
    """
    is_file = name.endswith((".yaml", ".yml"))
    if not is_file:
        require_known("preset", name, paper_preset_names())
    with located(name if is_file else f"preset {name}"):
        left_out: dict[str, Any] = {one: {} for one in MAPPINGS}  # changes may reach into these all the same
        content = _with_trainings(left_out | read_yaml(Path(name) if is_file else FOLDER / f"{name}.yaml"))
        for place, text in (changes or {}).items():
            set_in_yaml(content, place, text)
            content = _with_trainings(content)
        nets = {net: dataclass_from_yaml(Net, one, f"nets.{net}") for net, one in content["nets"].items()}
        groups = {key: tuple(dataclass_from_yaml(Pair, one, "pairs") for one in content.get(key, ())) for key in GROUPS}
        for pair in (*groups["pairs"], *groups["recipe"]):
            require_known("net in pairs", pair.oracle, nets)
            require_known("net in pairs", pair.classifier, nets)
        for net, one in nets.items():
            require_known(f"net in nets.{net}.auxiliary", one.auxiliary or net, nets)
        return dataclass_from_yaml(Preset, {**content, "nets": nets, **groups, "name": Path(name).stem}, "a preset")


def _with_trainings(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return the content with the settings of trainings in place of their names, each entry with its own copy."""
    nets = content.get("nets")
    if not isinstance(nets, Mapping) or not all(isinstance(one, Mapping) for one in nets.values()):
        raise SteepslopeError("expected a name and its settings for each net", "nets")
    nets = {name: _with_training(one, "train") for name, one in nets.items()}
    groups = {key: [_with_training(one, "training") for one in content[key]] for key in GROUPS if key in content}
    return {**content, "nets": nets, **groups}


def _with_training(content: Any, key: str) -> Any:
    """Return an entry with the settings of a preset of ``steepslope_lab.paper.preset`` in place of its name."""
    if not isinstance(content, Mapping) or not content.get(key):
        return content
    value = content[key]
    return {**content, key: training_settings(value) if isinstance(value, str) else deepcopy(value)}


def training_settings(name: str) -> dict[str, Any]:
    """Return the settings of a preset.

    >>> training_settings("mnist-classifier")["optimizer"]
    'sgd'
    """
    known = training_recipes()
    require_known("preset", name, known)
    return read_yaml(known[name])
