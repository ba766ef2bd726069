"""Files of opinions: what another classifier, or people, think of the rows of some outputs, read as it comes.

A folder or .npz file of outputs; or a .csv or .parquet file with a column of numbers for each class, with a class and
a confidence, or with one column of bare classes. Which rows they are about, and which classes, is told in
:mod:`steepslope.outputs._opinions`.
"""

from __future__ import annotations

import csv
from dataclasses import replace
from math import nan
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, explained, located, unknown_name
from steepslope.files import arrays_that_fit_memory
from steepslope.outputs import _folder as folder, _opinions as opinions
from steepslope.outputs._answers import CONFIDENCE, are_numbers_from_zero, names_of_answers, opinion_of_answers
from steepslope.outputs._arrays import CLASSES, OF_COPIES, Arrays, is_signal_array, opinion_of_array
from steepslope.outputs._columns import PREDICTION, Columns, Layout, class_columns
from steepslope.outputs._labels import NOTHING_THERE, Texts, number_in_text
from steepslope.outputs._opinions import Opinion
from steepslope.outputs._options import TABLES, ReadingOptions, options_by_name
from steepslope.outputs._probabilities import are_probabilities
from steepslope.outputs._table_files import TableFile, table_file

LABEL = "label"  # votes where it stands alone; files of outputs hold the true classes there
ARRAYS = ("logits", "probabilities", "votes")  # of a .npz file, the first that is there
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
    files = options_by_name("opinion", options.opinion)
    mappings = {
        name: read_mapping(Path(file)) for name, file in options_by_name("opinion", options.opinion_classes).items()
    }
    for name, file in files.items():
        path, mapping = Path(file), mappings.get(name)
        with explained("cannot be read as an opinion", path, OSError, longest=160):
            other = read_opinion_file(path, options, own, mapping)
        if own.ids is not None and other.ids is not None and not np.array_equal(own.ids, other.ids):
            with located(place):
                opinions.require_names_once(own.ids.tolist(), "each id")
        with located(path):
            arrays |= opinions.opinion_arrays(own, name, other, mapping)
            made = folder.extraction_of_folder(path) if path.is_dir() else {}
            if "digest" in made:
                nets[name] = {**made, opinions.PLACES: list(opinions.opinion_class_places(own, other, mapping))}
    return arrays, nets


def read_mapping(path: Path, form: str = "other=this") -> Mapped:
    """Read what the classes of an opinion are called here: lines ``other=this``, or a .csv file of two columns.

    Nothing behind the sign says that this classifier lacks the class. Of anything else that each class has, ``form``
    tells how a line looks.
    """
    with explained(f"expected a text file with lines {form}", path, (OSError, UnicodeDecodeError)):
        text = path.read_text(encoding="utf-8-sig")
    is_csv = path.suffix.lower() == ".csv"
    lines = list(csv.reader(text.splitlines())) if is_csv else [line.split("=", 1) for line in text.splitlines()]
    mapping: Mapped = {}
    for number, cells in enumerate(lines, start=1):
        names = [part.strip() for part in cells]
        if names in ([], [""]):
            continue
        if len(names) != 2 or not names[0] or names[0] in mapping:
            expected = f"expected {'two columns' if is_csv else form} in each line, each class once"
            raise SteepslopeError(f"{expected}, found {', '.join(names)!r} in line {number}", path)
        mapping[names[0]] = names[1] or None
    if not mapping:
        raise SteepslopeError("expected the names of classes, found none", path)
    return mapping


def read_opinion_file(path: Path, options: ReadingOptions, own: Opinion, mapping: Mapped | None = None) -> Opinion:
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
        arrays = arrays_that_fit_memory(archive, (*ARRAYS, "ids", CLASSES), path)
    name = next((name for name in ARRAYS if name in arrays), None)
    if name is None:
        raise SteepslopeError(f"expected {', '.join(ARRAYS)}, found {', '.join(names)}", path)
    ids, classes = (arrays[one].astype(np.str_) if one in arrays else None for one in ("ids", CLASSES))
    return Opinion(arrays[name], ids, None if classes is None else classes.tolist())


def _opinion_of_table(file: TableFile, options: ReadingOptions, own: Opinion, mapping: Mapped | None) -> Opinion:
    """Return the columns of classes, named logit_… or all but the ids' and the labels', answers, or the votes."""
    prediction = options.prediction_column or PREDICTION
    prediction = prediction if prediction in file.names else PREDICTION
    layout = class_columns(file.names, ReadingOptions(), {options.ids, LABEL})
    others = [name for name in file.names if name != options.ids]
    named = {"ids": options.ids} if options.ids in file.names else {}
    if layout is None and prediction in others:
        confidence = options.confidence_column if options.confidence_column in others else CONFIDENCE
        numbers = {CONFIDENCE: [confidence]} if confidence in others else {}
        numbers |= {name: [name] for name in others if is_signal_array(name)}
        columns = Layout(numbers, named, further=(prediction,)).read(file, gaps=True)
        return _opinion_of_answers(columns.texts[prediction], columns, mapping)
    if layout is None and len(others) == 1:
        classes = list(own.classes or ())
        if others[0] in classes and others != classes[1:]:  # as class 1 of two, it has the probability of that
            expected = "expected a column for each class, or one of votes"
            raise SteepslopeError(f"{expected}, found {others[0]!r} alone", "columns")
        columns = Layout({}, named, further=tuple(others)).read(file)
        return Opinion(_votes_in_column(columns.texts[others[0]]), columns.ids)
    if layout is None:
        names = [name for name in others if name != LABEL]
        opinions.require_columns_of_classes(own, names, mapping)
        layout = Layout({"logits": names}, classes=tuple(names), probabilities=True)
    columns = replace(layout, texts=named).read(file, gaps=True)
    values = columns.numbers["logits"]
    as_logits = not layout.probabilities and not are_probabilities(values)
    return Opinion(values, columns.ids, layout.classes or file.saved_classes, as_logits=as_logits)


def _opinion_of_answers(predicted: Texts, columns: Columns, mapping: Mapped | None) -> Opinion:
    """Return a column of answers, each with its confidence where there is one, as an opinion; an empty cell is none."""
    names = names_of_answers(predicted, None if mapping is None else Texts.of_rows(mapping))
    logits = opinion_of_answers(predicted, columns.numbers.get(CONFIDENCE), names)
    signals = {opinion_of_array(name): array[:, 0] for name, array in columns.numbers.items() if is_signal_array(name)}
    classes = None if are_numbers_from_zero(names) else names
    return Opinion(logits, columns.ids, classes, as_logits=True, signals=signals)


def _votes_in_column(texts: Texts) -> NDArray[Any]:
    """Return a column of bare classes as text, (m,); of fractions, which are probabilities of class 1, as numbers."""
    numbers = [nan if text.strip().lower() in NOTHING_THERE else number_in_text(text) for text in texts.distinct]
    if None not in numbers and any(number % 1 != 0 for number in numbers if number == number):  # type: ignore[operator]
        return np.array(numbers, dtype=np.float64)[texts.codes]
    return np.array(texts.distinct, dtype=np.object_)[texts.codes]
