"""Scores that look up the classifier's training features: they learn an index of them."""

from typing import Any, ClassVar, Literal, Self

from numpy.typing import NDArray

from steepslope.estimators.neighbors import Index, as_float32, unit_rows
from steepslope.outputs import ClassifierOutputs
from steepslope.scores.score import Score, State, require_fitted


class ReferenceScore(Score):
    """A score on the nearest of the classifier's training features, scaled to length 1 where ``unit_length`` is set."""

    fits_on: ClassVar[Literal["reference"]] = "reference"
    arrays = ("features",)
    unit_length: ClassVar[bool] = False

    def __init__(self) -> None:
        self.index_: Index | None = None

    def fit(self, outputs: ClassifierOutputs) -> Self:
        """Take the classifier's training outputs as references, by their labels."""
        rows = unit_rows if self.unit_length else as_float32
        self.index_ = Index.build(outputs.require_features(), outputs.labels, outputs.num_classes, rows)
        return self

    def fitted(self, name: str) -> Index:
        """Return the references, or say that there are none yet."""
        return require_fitted(name, self.index_, "the classifier's training outputs")

    def state(self) -> dict[str, NDArray[Any]]:
        """Return the index's arrays."""
        return {} if self.index_ is None else self.index_.arrays

    @classmethod
    def restored(cls, state: State, num_classes: int) -> Self:
        """Return the score with an index of these arrays."""
        score = cls()
        score.index_ = Index.of(state, num_classes)
        return score
