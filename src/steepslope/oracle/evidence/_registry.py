"""Every kind of evidence by name. A new kind is its functions and an entry here; every score is one, too."""

from collections.abc import Iterable, Sequence
from functools import partial

from steepslope.errors import require_known
from steepslope.numerics import Array
from steepslope.oracle.evidence import (
    _classifier as classifier,
    _neighbors as neighbors,
    _opinions as opinions,
    _probes as probes,
    _signals as signals,
    _stack as stack,
)
from steepslope.oracle.evidence._states import Evidence, Learning, State, references
from steepslope.outputs import SIGNAL, VOTE, ClassifierOutputs, is_opinion_array, opinion_of_array
from steepslope.scores import SCORES, Rows, Score

_MOST_NEIGHBORS = 50_000  # more gain nothing
_PROBE_PENALTY = 1e-3  # the ridge of a probe on the auxiliary features, on columns of deviation 1
_FEATURE_WIDTH = 1024  # of the hidden layer, where rows are many; wider gains nothing
_JOINT_WIDTH = 512
SIGNALS = "signals"
# More than an auxiliary probe's: the classifier's features are surer of its training labels than of others.
_JOINT_PENALTY = 1e-2


def _evidence_of_probes(
    *arrays: str, penalty: float | None = None, width: int | None = None, familiar: bool = False
) -> Evidence:
    fit = partial(probes.fit_probes, arrays=arrays, penalty=penalty, width=width)
    check = partial(probes.check_probes, linear=penalty is not None, net=width is not None)
    learning = Learning(fit, check, slow=True, familiar=familiar)
    columns = partial(probes.probe_columns, arrays=arrays)
    return Evidence(columns, arrays, learning, partial(probes.probe_opinions, arrays=arrays))


def _learning_of_neighbors(array: str) -> Learning:
    fit = partial(neighbors.fit_neighbors, array=array)
    shared = partial(neighbors.neighbor_components, array=array)
    return Learning(fit, neighbors.check_neighbors, at_least=max(neighbors.COUNTS), most=_MOST_NEIGHBORS, shared=shared)


EVIDENCE: dict[str, Evidence] = {
    "features": Evidence(classifier.feature_columns, ("features",), raw=True),
    "logits": Evidence(classifier.logit_columns, opinions=classifier.logit_opinions),
    "neighbors": Evidence(
        neighbors.neighbor_columns, ("features",), _learning_of_neighbors("features"), neighbors.neighbor_opinions
    ),
    "feature_opinion": _evidence_of_probes("features", width=_FEATURE_WIDTH),
    "views": Evidence(classifier.view_columns, ("views",), opinions=classifier.view_opinions),
    "dropout": Evidence(classifier.dropout_columns, ("dropout",), opinions=classifier.dropout_opinions),
    "auxiliary_neighbors": Evidence(
        partial(neighbors.neighbor_columns, array="auxiliary"), ("auxiliary",), _learning_of_neighbors("auxiliary")
    ),  # whose opinions would be of some use at home, and mislead most elsewhere
    "second_opinion": _evidence_of_probes("auxiliary", penalty=_PROBE_PENALTY),
    "joint_opinion": _evidence_of_probes("features", "auxiliary", penalty=_JOINT_PENALTY, width=_JOINT_WIDTH),
    "familiar_opinion": _evidence_of_probes(
        "features", "auxiliary", penalty=_JOINT_PENALTY, width=_JOINT_WIDTH, familiar=True
    ),
}


def _evidence_of_opinion(array: str) -> Evidence:
    """Return the opinion of another classifier as a kind of evidence, by the name of its array."""
    if not array.startswith(VOTE):
        columns = partial(opinions.opinion_columns, array=array)
        return Evidence(columns, (array,), opinions=partial(opinions.net_opinions, array=array), lacks=True)
    learning = Learning(partial(opinions.fit_votes, array=array), opinions.check_votes, of="errors")
    columns = partial(opinions.vote_columns, array=array)
    return Evidence(columns, (array,), learning, partial(opinions.vote_opinions, array=array), lacks=True)


def stack_name(arrays: Sequence[str]) -> str:
    """Return the name of a stacker of these arrays.

    >>> stack_name(["logits", "opinion_forest"])
    'stack(logits+opinion_forest)'
    """
    return f"stack({'+'.join(arrays)})"


def arrays_of_stack(name: str) -> tuple[str, ...]:
    """Return the arrays that a stacker sees, by its name."""
    return tuple(name.partition("(")[2].removesuffix(")").split("+"))


def is_stack(name: str) -> bool:
    """Return whether a name is that of a stacker, on arrays that a stacker can see."""
    arrays = arrays_of_stack(name)
    others = set(arrays) - {"logits", "features"}
    return name == stack_name(arrays) and all(map(is_opinion_array, others))


def _evidence_of_stack(name: str) -> Evidence:
    """Return a stacker as a kind of evidence, by the name that :func:`stack_name` gives it."""
    arrays = arrays_of_stack(name)
    learning = Learning(partial(stack.fit_stack, arrays=arrays), stack.check_stack, of="errors")
    of_classes = partial(stack.stack_opinions, arrays=arrays)
    return Evidence(stack.no_stack_columns, arrays, learning, of_classes, lacks=any(map(is_opinion_array, arrays)))


def signals_name(arrays: Sequence[str]) -> str:
    """Return the name of what signals tell together.

    >>> signals_name(["signal_judge", "signal_entropy"])
    'signals(judge+entropy)'
    """
    return f"{SIGNALS}({'+'.join(map(opinion_of_array, arrays))})"


def is_of_signals(name: str) -> bool:
    """Return whether a name is that of what signals tell together."""
    return name.startswith(f"{SIGNALS}(") and name.endswith(")")


def _evidence_of_signals(name: str) -> Evidence:
    """Return what signals tell together as a kind of evidence, by the name that :func:`signals_name` gives it."""
    arrays = tuple(f"{SIGNAL}{signal}" for signal in arrays_of_stack(name))
    learning = Learning(partial(signals.fit_signals, arrays=arrays), signals.check_signals, of="errors")
    opinion = partial(signals.signal_opinions, arrays=arrays)
    return Evidence(stack.no_stack_columns, arrays, learning, opinion, lacks=True)


def _evidence_of_score(score: type[Score]) -> Evidence:
    """Return a score as a kind of evidence with one column; its needs and its state are those that it declares."""

    def fit(outputs: ClassifierOutputs) -> State:
        return score().fit(references(outputs) if score.fits_on == "reference" else outputs).state()

    def column(rows: Rows, state: State) -> Array:
        return score.restored(state, rows["logits"].shape[1]).formula(rows)[:, None]

    learning = None
    if score.fits_on != "nothing":
        learning = Learning(fit, score.restored, score.fits_on, score.at_least)
    return Evidence(column, score.arrays, learning, least_classes=score.least_classes)


def kind_of_evidence(name: str) -> Evidence:
    """Return a kind of evidence by name; the error for an unknown name has the closest one.

    Opinions of other classifiers go by the names of their arrays.
    """
    if is_opinion_array(name):
        return _evidence_of_opinion(name)
    if is_stack(name):
        return _evidence_of_stack(name)
    if is_of_signals(name):
        return _evidence_of_signals(name)
    require_known("input", name, [*EVIDENCE, *SCORES])
    if name in EVIDENCE:
        return EVIDENCE[name]
    return _evidence_of_score(SCORES[name])


def arrays_of_evidence(inputs: Iterable[str]) -> tuple[str, ...]:
    """Return the arrays that some kinds of evidence need, each once."""
    needed: dict[str, None] = {}
    for name in inputs:
        needed |= dict.fromkeys(kind_of_evidence(name).arrays)
    return tuple(needed)


def learning_of_inputs(inputs: Iterable[str]) -> dict[str, Learning]:
    """Return how each kind of evidence learns, of those that learn anything."""
    kinds = {name: kind_of_evidence(name).learning for name in inputs}
    return {name: learning for name, learning in kinds.items() if learning is not None}
