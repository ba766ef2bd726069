"""How files of outputs that others made are read: options that all commands with such files share."""

from dataclasses import dataclass, fields
from pathlib import Path

from steepslope.errors import SteepslopeError

TABLES = (".csv", ".parquet")
SEPARATORS: dict[str, str] = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ","}
# Of no use beside a confidence alone.
OF_CLASSES = ("label_column", "logit_columns", "probabilities", "as_logits", "classes")
OF_FILES = ("probabilities", "as_logits")  # folders hold logits
OF_TABLES = ("id_column", "label_column", "logit_columns", "confidence_column", "correct_column", "separator")


@dataclass(frozen=True)
class ReadingOptions:
    """Which columns of a .csv or .parquet file hold what, and what the numbers of any file mean.

    Parameters
    ----------
    label_column
        Column of a .csv or .parquet file with the true classes: whole numbers from 0, or names of classes; -1 or
        unknown for none of them. By default label.
    logit_columns
        Columns of a .csv or .parquet file with one number a class: names with commas, in the order of the classes, or
        patterns such as 'score*', whose columns come in the natural order of their names (2 before 10). What * stands
        for is the class's name, such as cat in score_cat. By default logit_0, logit_1, … or logit_cat, logit_dog, ….
    probabilities
        The numbers of the classes are probabilities, not logits. One column alone is the probability of class 1 of 2.
    as_logits
        The numbers of the classes are logits, although each row is positive and has a sum of 1.
    confidence_column
        Column of a .csv or .parquet file with a confidence alone, in place of logits; by default confidence.
    correct_column
        Column that tells beside a confidence whether the prediction is correct: true and false, 1 and 0, or yes and no;
        by default is_correct.
    id_column
        Column of a .csv or .parquet file with the names of the rows; by default id.
    separator
        Character between the columns of .csv files, or tab; it is not guessed.
    classes
        Text file with the name of one class a line, in the order of the labels, for files whose columns do not name the
        classes.
    """

    label_column: str | None = None
    logit_columns: tuple[str, ...] | None = None
    probabilities: bool = False
    as_logits: bool = False
    confidence_column: str | None = None
    correct_column: str | None = None
    id_column: str | None = None
    separator: str = ","
    classes: str | None = None

    def __post_init__(self) -> None:
        if len(self.delimiter) != 1:
            raise SteepslopeError(f"expected one character, or tab, found {self.separator!r}", "separator")
        if self.logit_columns is not None and self.confidence_column is not None:
            raise SteepslopeError("expected --logit-columns or --confidence-column, found both", "confidence-column")
        if self.probabilities and self.as_logits:
            raise SteepslopeError("expected --probabilities or --as-logits, found both", "probabilities")

    @property
    def delimiter(self) -> str:
        """The character between columns."""
        return SEPARATORS.get(self.separator, self.separator)

    def changed(self, names: tuple[str, ...]) -> list[str]:
        """Return those of the options that are not left alone, as they are spelt on the command line."""
        return [
            one.name.replace("_", "-")
            for one in fields(self)
            if one.name in names and getattr(self, one.name) != one.default
        ]


AS_WRITTEN = ReadingOptions()  # what ClassifierOutputs.save writes


def require_files(options: ReadingOptions, *paths: str | None) -> None:
    """Raise if an option is given for tables, or for files, but none that it could be for."""
    given = [Path(path) for path in paths if path is not None]
    of_tables, of_files = options.changed(OF_TABLES), options.changed(OF_FILES)
    if of_tables and not any(path.suffix.lower() in TABLES for path in given):
        raise SteepslopeError(f"expected a .csv or .parquet file to go with it, found {given[0]}", of_tables[0])
    if of_files and all(path.is_dir() for path in given):
        raise SteepslopeError(f"expected a file to go with it, found the folder {given[0]}", of_files[0])
