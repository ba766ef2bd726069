"""A training as the command line asks for it; free of torch, so that it can be read quickly."""

# Annotations are not postponed: the command line reads them.
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal

from steepslope.errors import SteepslopeError
from steepslope.finetuning.recipe import Finetuning

NAME = "name"  # of a stage


@dataclass(frozen=True)
class Input:
    """What to change of a net's own input: its size, normalisation and way to resize; None changes nothing."""

    size: int | None = None
    mean: Sequence[float] | float | None = None
    std: Sequence[float] | float | None = None
    resize: str | None = None


@dataclass(frozen=True, kw_only=True)
class FinetuneRequest(Finetuning):
    """What an oracle is trained on, and how.

    Parameters
    ----------
    oracle
        Classifier spec of the backbone: timm:NAME, torchvision:NAME, checkpoint:DIR, module:pkg.mod:factory, or
        net:NAME (one of ours with random weights).
    data
        Data spec of the images; where it has splits, those rows of the training split that a checkpoint was fitted to.
    classifier
        Classifier spec, to ask about every image as it is augmented.
    outputs
        In its place, the outputs of the images without augmentation: the classifier need not run again.
    valid
        Outputs on which epochs are compared, for select; by default the live classifier's held-out rows.
    valid_data
        Data spec of their images, by default data.
    classes
        Text file with the name of one class (folder) a line, as for extract.
    init
        A trained oracle of the same backbone and head to begin with.
    stages
        Trainings one after another, each a name and what it changes of the settings; each begins with the oracle of the
        one before, and goes to the subfolder of its name.
    oracle_size
        Side of the oracle's input, in place of its own; so for the next three.
    oracle_mean
        Of pixels in [0, 1], one a channel, or one for all.
    oracle_std
        As oracle_mean.
    oracle_resize
        crop (shorter side, then the central square) or squash.
    classifier_size
        The same of the classifier's input; so for the next three.
    classifier_mean
        See oracle_mean.
    classifier_std
        See oracle_mean.
    classifier_resize
        See oracle_resize.
    workers
        Processes that decode images; 0 decodes in the training process.
    devices
        Processes on this machine, one a GPU or on the CPU; by default 1, or what torchrun started.
    num_nodes
        Machines; by default 1, or what torchrun started.
    strategy
        Of Lightning Fabric, such as ddp.
    tensorboard
        Also write the history for TensorBoard.
    """

    oracle: str
    data: str | None = None
    classifier: str | None = None
    outputs: str | None = None
    valid: str | None = None
    valid_data: str | None = None
    classes: str | None = None
    init: str | None = None
    stages: list[dict[str, Any]] | None = None
    oracle_size: int | None = None
    oracle_mean: list[float] | float | None = None
    oracle_std: list[float] | float | None = None
    oracle_resize: Literal["crop", "squash"] | None = None
    classifier_size: int | None = None
    classifier_mean: list[float] | float | None = None
    classifier_std: list[float] | float | None = None
    classifier_resize: Literal["crop", "squash"] | None = None
    workers: int = 0
    devices: int | None = None
    num_nodes: int | None = None
    strategy: str = "auto"
    tensorboard: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.classifier is None) == (self.outputs is None):
            found = "neither" if self.classifier is None else "both"
            raise SteepslopeError(f"classifier and outputs: expected one of the two, found {found}")
        _ = self.recipes

    @property
    def recipe(self) -> Finetuning:
        """How to train."""
        return Finetuning(**{one.name: getattr(self, one.name) for one in fields(Finetuning)})

    @property
    def recipes(self) -> dict[str, Finetuning]:
        """The recipe of each stage by its name, or that of the only one under the name ""."""
        recipes: dict[str, Finetuning] = {}
        for stage in self.stages or []:
            name = stage.get(NAME)
            if not isinstance(name, str) or not name.replace("-", "").isalnum() or name in recipes:
                raise SteepslopeError(
                    f"stages: expected a name of each, of letters, digits and dashes, once, found {name!r}"
                )
            recipes[name] = self.recipe.changed({key: value for key, value in stage.items() if key != NAME})
            if recipes[name].precision != self.precision:
                raise SteepslopeError(f"stage {name}: precision: expected {self.precision!r}, as for all stages")
        return recipes or {"": self.recipe}

    @property
    def oracle_input(self) -> Input:
        """What to change of the oracle's own input."""
        return Input(self.oracle_size, self.oracle_mean, self.oracle_std, self.oracle_resize)

    @property
    def classifier_input(self) -> Input:
        """What to change of the classifier's own input."""
        return Input(self.classifier_size, self.classifier_mean, self.classifier_std, self.classifier_resize)
