"""Which columns of a table hold what: from the names of its columns, and reading options, to a layout."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from steepslope.errors import SteepslopeError, unknown_name
from steepslope.outputs.arrays import ARRAYS, STRINGS
from steepslope.outputs.class_columns import class_columns
from steepslope.outputs.column_names import found_columns, numbered
from steepslope.outputs.reading import AS_WRITTEN, OF_CLASSES, ReadingOptions

CONFIDENCE, CORRECT = "confidence", "is_correct"  # what a table without logits holds
WANTED = "logits in columns logit_0, logit_1, … (or --logit-columns), or confidence and is_correct (or "
WANTED += "--confidence-column, --correct-column)"


@dataclass(frozen=True)
class Layout:
    """The columns of a table, by the names of the arrays that they make.

    ``numbers`` has one column or more an array, in order; ``texts`` has one column each for ``ids``, ``labels`` and
    ``is_correct``, where they are there. ``classes`` are the names of the classes, and ``counts`` is whether a whole
    number in the labels can be the place of a class among them.
    """

    numbers: dict[str, list[str]]
    texts: dict[str, str]
    classes: tuple[str, ...] | None = None
    counts: bool = True


def layout_of(names: Sequence[str], options: ReadingOptions = AS_WRITTEN) -> Layout:
    """Return what the columns of these names hold; raise if they hold neither logits nor confidences.

    >>> layout = layout_of(["score_cat", "id", "score_dog", "label"], ReadingOptions(logit_columns=("score*",)))
    >>> layout.numbers, layout.texts, layout.classes
    ({'logits': ['score_cat', 'score_dog']}, {'ids': 'id', 'labels': 'label'}, ('cat', 'dog'))
    """
    own = {options.label_column or "label", options.id_column or "id"}
    logits = None if options.confidence_column is not None else class_columns(names, options, own)
    if logits is not None:
        texts = _texts(names, ids=options.id_column, labels=options.label_column)
        both = [column for column in texts.values() if column in logits.columns]
        if both:
            raise SteepslopeError(f"column {both[0]!r}: cannot be a logit and the label or id at once")
        numbers = {"logits": logits.columns, **_further(names, logits.columns)}
        layout = Layout(numbers, texts, logits.classes, logits.counts)
    elif CONFIDENCE in names or options.confidence_column is not None:
        layout = _of_confidences(names, options)
    else:
        raise SteepslopeError(f"expected {WANTED}, {found_columns(names)}")
    require_once([*layout.texts.values(), *(name for some in layout.numbers.values() for name in some)], names)
    return layout


def _of_confidences(names: Sequence[str], options: ReadingOptions) -> Layout:
    useless = options.changed(OF_CLASSES)
    if useless:
        raise SteepslopeError("expected columns of logits to go with it, found a confidence alone", useless[0])
    confidence = _column(names, CONFIDENCE, options.confidence_column)
    texts = _texts(names, ids=options.id_column, is_correct=options.correct_column)
    if CORRECT not in texts:
        wanted = f"expected a column {CORRECT} (or --correct-column) beside {confidence}"
        raise SteepslopeError(f"{wanted}, {found_columns(names)}")
    return Layout({CONFIDENCE: [confidence]}, texts)


def _texts(names: Collection[str], **named: str | None) -> dict[str, str]:
    """Return the column of each array, as an option names it, or the usual one; not those that are not there."""
    usual = {"ids": "id", "labels": "label", CORRECT: CORRECT}
    columns = {name: _column(names, usual[name], column) for name, column in named.items()}
    return {name: column for name, column in columns.items() if column in names}


def _column(names: Collection[str], usual: str, named: str | None) -> str:
    if named is not None and named not in names:
        raise unknown_name("column", named, names)
    return named or usual


def _further(names: Collection[str], taken: Collection[str]) -> dict[str, list[str]]:
    """Return the columns of all other arrays of numbers that tables may hold, such as feature_0, feature_1, …."""
    columns = {
        name: numbered(names, array.column) if len(array.axes) > 1 else [array.column] * (array.column in names)
        for name, array in ARRAYS.items()
        if array.column is not None and array.kind != STRINGS and name not in ("logits", "labels")
    }
    return {name: some for name, some in columns.items() if some and not set(some) & set(taken)}


def require_once(columns: Sequence[str], names: Sequence[str]) -> None:
    """Raise if one of some columns stands twice among the names of a table's columns."""
    twice = [name for name in dict.fromkeys(columns) if names.count(name) > 1]
    if twice:
        found = ", ".join(f"{name!r} {names.count(name)} times" for name in twice)
        raise SteepslopeError(f"expected every column that is read once, found {found}")
