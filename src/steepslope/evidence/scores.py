"""Post-hoc scores as evidence: one column each, by what the score itself declares of its needs and its state."""

from steepslope.evidence.states import Evidence, Floats, Learning, State, references
from steepslope.outputs import ClassifierOutputs
from steepslope.scores import Score


def evidence_of(score: type[Score]) -> Evidence:
    """Return a score as a kind of evidence."""

    def fit(outputs: ClassifierOutputs) -> State:
        return score().fit(references(outputs) if score.fits_on == "reference" else outputs).state()

    def column(outputs: ClassifierOutputs, rows: slice, state: State) -> Floats:
        part = outputs.subset(rows)
        fitted = score().fit(part) if score.fits_on == "nothing" else score.restored(state, part.num_classes)
        return fitted.confidence(part)[:, None]

    learning = None if score.fits_on == "nothing" else Learning(fit, score.restored, score.fits_on, score.at_least)
    return Evidence(column, score.arrays, learning, least_classes=score.least_classes)
