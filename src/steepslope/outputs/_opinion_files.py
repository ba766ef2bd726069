"""Files of opinions: what another classifier, or people, think of the rows of some outputs, read as it comes.

A folder or .npz file of outputs; or a .csv or .parquet file with a column of numbers for each class, with a class and
a confidence, or with one column of bare classes. Which rows they are about, and which classes, is told in
:mod:`steepslope.outputs._opinions`.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, unknown_name
from steepslope.files import arrays_that_fit_memory
from steepslope.outputs import _folder as folder, _opinions as opinions
from steepslope.outputs._answers import (
    CONFIDENCE,
    are_numbers_from_zero,
    is_no_answer,
    names_of_answers,
    opinion_of_answers,
)
from steepslope.outputs._arrays import CLASSES, OF_COPIES, Arrays, is_signal_array, opinion_of_array
from steepslope.outputs._columns import PREDICTION, Layout, class_columns
from steepslope.outputs._labels import Texts, number_in_text
from steepslope.outputs._opinions import Opinion
from steepslope.outputs._options import TABLES, ReadingOptions, options_by_name
from steepslope.outputs._probabilities import are_probabilities
from steepslope.outputs._table_files import TableFile, table_file

_LABEL = "label"  # votes where it stands alone; files of outputs hold the true classes there
_ARRAYS = ("logits", "probabilities", "votes")  # of a .npz file, the first that is there
Mapped = dict[str, str | None]


def read_opinions(
    own: Opinion, options: ReadingOptions, place: str | Path = "outputs"
) -> tuple[Arrays, dict[str, dict[str, Any]]]:
    """Return the arrays of the opinions that are given for rows, by name, and what is known of their nets.

    ``place`` is where the rows come from. Known of a net is what the extraction of a folder recorded, and the places of
    its classes; nothing of other files.
    """
    arrays: Arrays = {}
    nets: dict[str, dict[str, Any]] = {}
    mappings = options_by_name("opinion", options.opinion_classes)
    mapping_of = {name: read_mapping(Path(file)) for name, file in mappings.items()}
    for name, file in options_by_name("opinion", options.opinion).items():
        path = Path(file)
        mapping = mapping_of.get(name)
        with explained("cannot be read as an opinion", path, OSError, longest=160):
            other = _read_opinion_file(path, options, own, mapping)
        if own.ids is not None and other.ids is not None and not np.array_equal(own.ids, other.ids):
            with located(place):
                opinions.require_names_once(own.ids.tolist(), "each id")
        with located(path):
            arrays |= opinions.opinion_arrays(own, name, other, mapping)
            made = folder.extraction_of_folder(path)
            if "digest" in made:
                places = opinions.opinion_class_places(own, other, mapping)
                nets[name] = {**made, opinions.PLACES: list(places)}
    return arrays, nets


def read_mapping(path: Path, form: str = "other=this") -> Mapped:
    """Read what the classes of an opinion are called here: lines ``other=this``, or a .csv file of two columns.

    Nothing behind the sign says that this classifier lacks the class. Of anything else that each class has, ``form``
    tells how a line looks.
    """
    with explained(f"expected a text file with lines {form}", path, (OSError, UnicodeDecodeError)):
        text = path.read_text(encoding="utf-8-sig")
    lines = [line.split("=", 1) for line in text.splitlines()]
    if path.suffix.lower() == ".csv":
        form = "two columns"
        lines = list(csv.reader(text.splitlines()))
    mapping: Mapped = {}
    for number, cells in enumerate(lines, start=1):
        names = list(map(str.strip, cells))
        if names in ([], [""]):
            continue
        if len(names) != 2 or not names[0] or names[0] in mapping:
            raise SteepslopeError(
                f"expected {form} in each line, each class once, found {', '.join(names)!r} in line {number}", path
            )
        mapping[names[0]] = names[1] or None
    if not mapping:
        raise SteepslopeError("expected the names of classes, found none", path)
    return mapping


def _read_opinion_file(path: Path, options: ReadingOptions, own: Opinion, mapping: Mapped | None) -> Opinion:
    """Read an opinion; the options tell the separator of .csv files and the column of the ids.

    The ``own`` ids and classes, and the mapping, tell which columns of a table are which.
    """
    if not path.exists():
        raise SteepslopeError("no such file or folder", path)
    if path.is_dir():
        arrays, classes, ids = folder.read_outputs_folder(path)
        copies, recipe = arrays.get(f"{OF_COPIES}logits"), folder.recipe_of_folder(path)
        return Opinion(arrays["logits"], ids, classes, copies, as_logits=True, recipe=recipe)
    if path.suffix.lower() == ".npz":
        return _opinion_of_archive(path)
    if path.suffix.lower() not in TABLES:
        raise unknown_name(f"format of {path.name}:", path.suffix, (".npz", *TABLES))
    with located(path):
        return _opinion_of_table(table_file(path, options.delimiter), options, own, mapping)


def _opinion_of_archive(path: Path) -> Opinion:
    unreadable = explained("cannot be read as an opinion", path, (ValueError, EOFError, BadZipFile), longest=160)
    with unreadable, np.load(path, allow_pickle=False) as archive:
        names = list(archive.files)
        arrays = arrays_that_fit_memory(archive, (*_ARRAYS, "ids", CLASSES), path)
    forms = [name for name in _ARRAYS if name in arrays]
    if not forms:
        raise SteepslopeError(f"expected {', '.join(_ARRAYS)}, found {', '.join(names)}", path)
    ids = arrays.get("ids")
    if ids is not None:
        ids = ids.astype(np.str_)
    classes = None
    if CLASSES in arrays:
        classes = arrays[CLASSES].astype(np.str_).tolist()
    return Opinion(arrays[forms[0]], ids, classes)


def _opinion_of_table(file: TableFile, options: ReadingOptions, own: Opinion, mapping: Mapped | None) -> Opinion:
    """Return the columns of classes, named logit_… or all but the ids' and the labels', answers, or the votes."""
    others = [name for name in file.names if name != options.ids]
    ids = {"ids": options.ids}
    if options.ids not in file.names:
        ids = {}
    layout = class_columns(file.names, ReadingOptions(), {options.ids, _LABEL})
    if layout is None:
        prediction = options.prediction_column
        if prediction not in file.names:
            prediction = PREDICTION
        if prediction in others:
            return _opinion_of_answers(file, prediction, options.confidence_column, ids, mapping)
        if len(others) == 1:
            _require_votes(others[0], own)
            columns = Layout({}, ids, further=(others[0],)).read(file)
            return Opinion(_votes_in_column(columns.texts[others[0]]), columns.ids)
        names = [name for name in others if name != _LABEL]
        opinions.require_columns_of_classes(own, names, mapping)
        layout = Layout({"logits": names}, classes=tuple(names), probabilities=True)
    columns = replace(layout, texts=ids).read(file, gaps=True)
    values = columns.numbers["logits"]
    as_logits = not layout.probabilities and not are_probabilities(values)
    return Opinion(values, columns.ids, layout.classes or file.saved_classes, as_logits=as_logits)


def _require_votes(column: str, own: Opinion) -> None:
    """Raise if the only column has the probability of a class; that of class 1 of two tells the other, too."""
    classes = own.classes or ()
    if column in classes and [column] != list(classes[1:]):
        raise SteepslopeError(f"expected a column for each class, or one of votes, found {column!r} alone", "columns")


def _opinion_of_answers(
    file: TableFile, prediction: str, confidence: str | None, ids: dict[str, str], mapping: Mapped | None
) -> Opinion:
    """Return a column of answers, each with its confidence where there is one, as an opinion; an empty cell is none."""
    others = [name for name in file.names if name not in ids.values()]
    if confidence not in others:
        confidence = CONFIDENCE
    numbers = {name: [name] for name in others if is_signal_array(name)}
    if confidence in others:
        numbers = {CONFIDENCE: [confidence], **numbers}
    columns = Layout(numbers, ids, further=(prediction,)).read(file, gaps=True)
    predicted = columns.texts[prediction]
    names = names_of_answers(predicted, None if mapping is None else Texts.of_rows(mapping))
    logits = opinion_of_answers(predicted, columns.numbers.pop(CONFIDENCE, None), names)
    signals = {opinion_of_array(name): array[:, 0] for name, array in columns.numbers.items()}
    classes = None if are_numbers_from_zero(names) else names
    return Opinion(logits, columns.ids, classes, as_logits=True, signals=signals)


def _votes_in_column(texts: Texts) -> NDArray[Any]:
    """Return a column of bare classes as text, (m,); of fractions, which are probabilities of class 1, as numbers."""
    distinct = np.array(texts.distinct, dtype=np.object_)
    numbers = []
    for text in texts.distinct:
        number = nan if is_no_answer(text) else number_in_text(text)
        if number is None:
            return distinct[texts.codes]
        numbers.append(number)
    if all(isnan(number) or number.is_integer() for number in numbers):
        return distinct[texts.codes]
    return np.array(numbers, dtype=np.float64)[texts.codes]
