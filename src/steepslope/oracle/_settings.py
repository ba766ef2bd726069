"""What can be chosen about an oracle. The module is quick to import, because the command line reads it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

from steepslope.errors import SEED, Check, SteepslopeError, choice, each, listed, number, optional, require_all, whole

Errors = Literal["holdout", "crossfit", "train"]
Budget = Literal["auto", "free", "opinions", "auxiliary", "all"]
FUSED_CHECKS: dict[str, Check] = {
    "errors": choice("holdout", "crossfit"),
    "seed": SEED,
    "budget": choice(*get_args(Budget)),
}
COLUMN_CHECKS: dict[str, Check] = {
    "errors": choice(*get_args(Errors)),
    "seed": SEED,
    "hidden": each(whole(1)),
    "epochs": optional(whole(1)),
    "learning_rate": number(1e-12),
}


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """Which loss, with which parameters.

    Parameters
    ----------
    loss
        Name of the loss: cross_entropy, focal, true_class_probability, steep_slope or class_balanced.
    parameters
        Parameters of the loss by name, such as alpha_neg; missing ones have the loss's defaults.
    """

    loss: str = "steep_slope"
    parameters: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def from_flat(cls, **flat: Any) -> Self:
        """Return the options of flat settings; further names are parameters of the loss, and lists become tuples."""
        settings: dict[str, Any] = {}
        for name, value in flat.items():
            settings[name] = tuple(value) if isinstance(value, list) else value
        known = {field.name for field in fields(cls)}
        further = {name: settings.pop(name) for name in flat if name not in known}
        parameters = settings.pop("parameters", {})
        return cls(**settings, parameters={**parameters, **further})

    def changed(self, flat: Mapping[str, Any]) -> Self:
        """Return the same options with some flat settings changed."""
        return self.from_flat(**{**self.as_json(), **flat})

    def as_json(self) -> dict[str, Any]:
        """Return the flat settings, as :meth:`from_flat` takes them and JSON holds them."""
        nested = asdict(self)
        flat = {"loss": nested.pop("loss"), **nested.pop("parameters"), **nested}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in flat.items()}


@dataclass(frozen=True, kw_only=True)
class FusedSettings(LossOptions):
    """How a fused oracle is fitted; ``FusedOracle`` says what each setting means."""

    budget: Budget = "auto"
    errors: Literal["holdout", "crossfit"] = "holdout"
    seed: int = 0

    def __post_init__(self) -> None:
        require_all(self, FUSED_CHECKS)


@dataclass(frozen=True, kw_only=True)
class ColumnSettings:
    """How an oracle on columns is built and fitted, whatever its loss.

    Parameters
    ----------
    errors
        Where references come from. holdout: the classifier's training outputs, and the fit set is new to the
        classifier. crossfit: the fit set itself, each fifth of it seen from the others. train: the same, but the fit
        set has the training outputs, as in the paper; a fused oracle refuses this.
    seed
        Seed of all random draws, such as folds and initial weights; the same seed gives the same oracle.
    inputs
        The evidence that the oracle sees: features, logits, neighbors, feature_opinion, views, dropout,
        auxiliary_neighbors, second_opinion, joint_opinion, familiar_opinion, or a score such as trust_score.
    head
        The last step: hyperplane (signed distance, paper Eq. 7) or linear.
    hidden
        Widths of ReLU layers before the head; none makes the oracle linear in its inputs.
    epochs
        Passes over the fit set; by default as many as make about 3,000 steps.
    learning_rate
        Highest learning rate of the cycle (AdamW).
    """

    errors: Errors = "holdout"
    seed: int = 0
    inputs: tuple[str, ...] = ("features",)
    head: str = "hyperplane"
    hidden: tuple[int, ...] = ()
    epochs: int | None = None
    learning_rate: float = 3e-3

    def __post_init__(self) -> None:
        for name, kind in (("inputs", str), ("hidden", int)):
            try:
                object.__setattr__(self, name, listed(getattr(self, name), kind))
            except ValueError:
                raise SteepslopeError(f"expected whole numbers, found {getattr(self, name)!r}", name) from None
        require_all(self, COLUMN_CHECKS)
        if not self.inputs or len(set(self.inputs)) < len(self.inputs):
            raise SteepslopeError(
                f"expected at least one, each once, found {', '.join(self.inputs) or 'none'}", "inputs"
            )


@dataclass(frozen=True, kw_only=True)
class OracleSettings(ColumnSettings, LossOptions):
    """How an oracle on columns is built and fitted, and by which loss."""
