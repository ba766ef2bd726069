"""How files of outputs that others made are read: options that all commands with such files share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

from steepslope.errors import SteepslopeError
from steepslope.outputs._arrays import require_opinion_name
from steepslope.outputs._labels import read_classes

TABLES = (".csv", ".parquet")
_SEPARATORS = {"tab": "\t", "\\t": "\t", "semicolon": ";", "comma": ","}
OF_NUMBERS = ("logit_columns", "probabilities", "as_logits")  # of no use with answers
_OF_FILES = ("probabilities", "as_logits")  # folders hold logits
_OF_TABLES = (
    "answered_by",
    "id_column",
    "label_column",
    "logit_columns",
    "prediction_column",
    "confidence_column",
    "signals",
    "separator",
)


def options_by_name(option: str, words: Sequence[str], names: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return what is given as NAME=VALUE by its name, each once; raise for a name that is none of the ``names``.

    >>> options_by_name("opinion", ["big=timm:resnet50", "people=votes.csv"])
    {'big': 'timm:resnet50', 'people': 'votes.csv'}
    """
    values: dict[str, str] = {}
    place = option.replace("_", "-")
    for word in words:
        name, _, value = word.partition("=")
        if not value or name in values:
            expected = "expected each name once" if value else "expected NAME=VALUE"
            raise SteepslopeError(f"{expected}, found {word!r}", place)
        if names is not None and name not in names:
            raise SteepslopeError(f"expected --opinion {name}=… with it, found none", place)
        values[require_opinion_name(name)] = value
    return values


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
        for is the class's name, such as cat in score_cat. By default logit_0, logit_1, … or logit_cat, logit_dog, …;
        else all other columns of numbers, named after the classes, if they are probabilities that sum to 1 in each row.
    probabilities
        The numbers of the classes are probabilities, not logits. One column alone is the probability of class 1 of 2.
    as_logits
        The numbers of the classes are logits, although each row looks like probabilities.
    prediction_column
        Column of a .csv or .parquet file with the predicted class, if only a class and a confidence are known, and no
        logits; by default prediction.
    confidence_column
        Column that says how sure each prediction is, on any scale; higher is surer, and cells may be empty. By default
        confidence. Files of opinions may have such a column, too.
    signals
        Columns with further numbers beside each answer, with commas, such as a log-probability or a judge's grade: on
        any scale, high or low where the answer is right; cells may be empty. By default those of the
        oracle or the gate, or else those that begin with signal_.
    answered_by
        Name and version of the model that gave the answers, instead of the column answered_by. Oracles and gates refuse
        answers of another model.
    id_column
        Column of a .csv or .parquet file with the names of the rows; by default id.
    separator
        Character between the columns of .csv files, or tab; by default that of ``, ; | tab`` which a file's first line
        has most often.
    classes
        Text file with the name of one class a line, in the order of the labels, for files whose columns do not name the
        classes.
    opinion
        Opinion of another classifier, or of people, on the same inputs, NAME=FILE: outputs (a folder, .npz, .csv or
        .parquet file) with logits or probabilities, or a .csv or .parquet file with one column of bare classes. Rows
        are matched by ids if both sides have ids, else by their places. A row may lack the opinion. Several opinions
        can be given. With images (predict --data), NAME=SPEC says where the opinion's net lies, or that it is code of
        your own.
    opinion_classes
        What the classes of an opinion are called here, NAME=FILE: lines other=this, or a .csv file of two columns; by
        default, classes are matched by their names if both sides have names.
    """

    label_column: str | None = None
    logit_columns: tuple[str, ...] | None = None
    probabilities: bool = False
    as_logits: bool = False
    prediction_column: str | None = None
    confidence_column: str | None = None
    signals: tuple[str, ...] | None = None
    answered_by: str | None = None
    id_column: str | None = None
    separator: str | None = None
    classes: str | None = None
    opinion: tuple[str, ...] = ()
    opinion_classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        options_by_name("opinion_classes", self.opinion_classes, options_by_name("opinion", self.opinion))
        if self.delimiter is not None and len(self.delimiter) != 1:
            raise SteepslopeError(f"expected one character, or tab, found {self.separator!r}", "separator")
        if self.logit_columns is not None and self.confidence_column is not None:
            raise SteepslopeError("expected --logit-columns or --confidence-column, found both", "confidence-column")
        if self.probabilities and self.as_logits:
            raise SteepslopeError("expected --probabilities or --as-logits, found both", "probabilities")

    @property
    def delimiter(self) -> str | None:
        """The character between columns, where it is named."""
        if self.separator is None:
            return None
        return _SEPARATORS.get(self.separator, self.separator)

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names of the classes in the file that holds them; None without such a file."""
        if self.classes is None:
            return None
        return tuple(read_classes(Path(self.classes)))

    @property
    def ids(self) -> str:
        """The column of the names of the rows."""
        return self.id_column or "id"

    @property
    def without_opinions(self) -> "ReadingOptions":
        """The same for other rows, such as a reference, to which the opinions do not belong."""
        return replace(self, opinion=(), opinion_classes=())

    def with_signals(self, names: Sequence[str], path: str | Path) -> "ReadingOptions":
        """Return the same for a table whose signals are known, such as a gate's, unless they are named.

        Those beside opinions stand in the files of the opinions.
        """
        opinions = options_by_name("opinion", self.opinion)
        own = tuple(name for name in names if name.partition(": ")[0] not in opinions)
        if own and self.signals is None and Path(path).suffix.lower() in TABLES:
            return replace(self, signals=own)
        return self

    def changed(self, names: tuple[str, ...]) -> list[str]:
        """Return those of the options that are not left alone, as they are spelt on the command line."""
        changed = []
        for option in fields(self):
            if option.name in names and getattr(self, option.name) != option.default:
                changed.append(option.name.replace("_", "-"))
        return changed


AS_WRITTEN = ReadingOptions()  # what ClassifierOutputs.save writes


def require_files_for_options(options: ReadingOptions, *paths: str | None) -> None:
    """Raise if an option is given for tables, or for files, but none that it could be for."""
    files = [Path(path) for path in paths if path is not None]
    of_tables = options.changed(_OF_TABLES)
    of_files = options.changed(_OF_FILES)
    if of_tables and not any(path.suffix.lower() in TABLES for path in files):
        raise SteepslopeError(f"expected a .csv or .parquet file to go with it, found {files[0]}", of_tables[0])
    if of_files and all(path.is_dir() for path in files):
        raise SteepslopeError(f"expected a file to go with it, found the folder {files[0]}", of_files[0])
