"""Where a gate's confidences come from: an oracle or a score, and the classifier whose predictions it ranks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field as member, replace
from pathlib import Path
from typing import Any

import numpy as np

from steepslope.errors import SteepslopeError, located, read_fields, require_known
from steepslope.files import field, load_arrays, positive, save_arrays
from steepslope.gate._decisions import likeliest_class
from steepslope.numerics import Bools, Floats
from steepslope.oracle import (
    BaseOracle,
    RowCounts,
    caution_on_errors,
    cautions_on_better_opinions,
    cautions_on_other_opinions,
)
from steepslope.outputs import (
    AUXILIARY,
    BY_VALUES,
    OPINION,
    PLACES,
    UNKNOWN,
    ClassifierOutputs,
    are_answers,
    extraction_of_folder,
    have_ids_to_hash,
    is_opinion_array,
    is_signal_array,
    is_unanswered,
    lacks_opinion,
    maker_in_words,
    opinion_of_array,
    opinions_in_folder,
    require_same_class_names,
    require_scales,
    rows_may_lack,
    scale_of_answers,
)
from steepslope.promise import LabelledRows, Names, as_percent, threshold_sequence
from steepslope.scores import LOGITS, SCORES, Score

Model = BaseOracle | Score
LoadOracle = Callable[[str | Path], BaseOracle]  # from a folder, such as Oracle.load
ORACLE = "oracle"  # a kind of source
SCORE = "score"
STATE = "score.safetensors"
_LOG_ODDS = "logit"
RARE = 0.05  # share of the calibration rows; the labels of a smaller share say little about rows like these
MOST_CLASSES = 10_000_000  # more are a mistake, and their names alone would fill memory
SHORT = 12  # characters of a digest that are shown


@dataclass(frozen=True)
class _StoredSource:
    """What a gate's card holds of its source, besides the model; see :class:`ConfidenceSource`."""

    shapes: Mapping[str, tuple[int, ...]]
    lacked: Mapping[str, int]
    rows: int
    answers: Mapping[str, str | None]


@dataclass(frozen=True, eq=False)
class ConfidenceSource:
    """A fitted oracle or score, for a number of classes.

    ``name`` is the score's name in ``SCORES``, or "oracle". ``reference`` has confidences (m,) of rows other than the
    calibration rows. The gate's thresholds come from these; None if there are none. ``shapes`` has the shape of a row
    of each array that the model takes, by name, if known. ``lacked`` counts the calibration rows that lacked an
    opinion, by the opinion's array, and ``rows`` all calibration rows. ``answers`` has the arrays made of answers, a
    class and a confidence, and the scale of ``SCALES`` that all these confidences are on, or None. ``counts`` has
    the errors in the fit set and what its opinions say; None if unknown.
    """

    name: str
    model: Model
    num_classes: int
    reference: tuple[float, ...] | None = member(default=None, repr=False)
    shapes: Mapping[str, Sequence[int]] = member(default_factory=dict)
    lacked: Mapping[str, int] = member(default_factory=dict)
    rows: int = 0
    answers: Mapping[str, str | None] = member(default_factory=dict)
    counts: RowCounts | None = None

    @classmethod
    def from_model(
        cls, model: Model | ConfidenceSource, num_classes: int, fit_set: ClassifierOutputs | None = None
    ) -> ConfidenceSource:
        """Return the source of an oracle or a score, whose thresholds come from its ``fit_set``.

        A source is returned unchanged.
        """
        if isinstance(model, ConfidenceSource):
            return model
        if isinstance(model, BaseOracle):
            record = model.record_
            if record is None:
                return cls(ORACLE, model, num_classes)
            return cls(ORACLE, model, num_classes, record.percentiles, record.shapes, counts=record.counts)
        names = {kind: name for name, kind in SCORES.items()}
        if type(model) not in names:
            raise SteepslopeError(f"expected a score of SCORES or an oracle, found {type(model).__name__}", "model")
        source = cls(names[type(model)], model, num_classes)
        if fit_set is None:
            return source
        percentiles = np.percentile(model.confidence(fit_set), np.arange(101)).tolist()
        counts = None if fit_set.labels is None else RowCounts.of(fit_set)
        return replace(source, reference=tuple(percentiles), counts=counts)

    @property
    def oracle(self) -> BaseOracle | None:
        """The oracle; None for a score."""
        if isinstance(self.model, BaseOracle):
            return self.model
        return None

    def taking(self, outputs: ClassifierOutputs) -> ConfidenceSource:
        """Return the same source with the facts about a gate's calibration outputs."""
        shapes = {}
        lacked = {}
        answers = {}
        for name in self.arrays:
            if name not in outputs.arrays:
                continue
            array = outputs.arrays[name]
            shapes[name] = array.shape[1:]
            if rows_may_lack(name):
                lacked[name] = int(lacks_opinion(name, array, self.num_classes).sum())
            if (name == LOGITS or name.startswith(OPINION)) and are_answers(array):
                answers[name] = scale_of_answers(array)
        return replace(self, shapes=shapes, lacked=lacked, rows=len(outputs), answers=answers)

    @property
    def needed(self) -> tuple[str, ...]:
        """The arrays of opinions and signals that nearly all calibration rows had. A row that lacks one is reviewed."""
        return tuple(name for name, count in self.lacked.items() if count < RARE * self.rows)

    def lacking(self, arrays: Mapping[str, Any]) -> Any:
        """Return which rows lack an answer or a needed opinion, booleans (m,), for arrays or tensors by name."""
        lacks = is_unanswered(arrays[LOGITS])
        for name in self.needed:
            lacks = lacks | lacks_opinion(name, arrays[name], self.num_classes)
        return lacks

    @property
    def of_log_odds(self) -> bool:
        """Whether its confidences are log-odds of being correct."""
        return self.model.scale == _LOG_ODDS

    @property
    def arrays(self) -> tuple[str, ...]:
        """The arrays that outputs must hold."""
        return tuple(dict.fromkeys([LOGITS, *self.model.arrays]))

    @property
    def opinions(self) -> tuple[str, ...]:
        """The names of the other classifiers, or people, whose opinions the model takes."""
        return tuple(opinion_of_array(name) for name in self.arrays if is_opinion_array(name))

    def cautions(self, outputs: ClassifierOutputs) -> list[str]:
        """Return what looks too good, or too bad, to be true about labelled calibration outputs, a caution each."""
        counts = RowCounts.of(outputs, self.arrays)
        errors = caution_on_errors(outputs.is_correct, likeliest_class(outputs)["probability"], self.counts)
        others = cautions_on_other_opinions(counts, self.counts or RowCounts())
        return [*errors, *cautions_on_better_opinions(counts), *others]

    def sentences(self) -> list[str]:
        """Return a sentence for each opinion: what happens to rows that lack it, and how many calibration rows did."""
        lines = []
        for name, count in self.lacked.items():
            fate = "is judged without it"
            side = "at least"
            if name in self.needed:
                fate = "goes to review"
                side = "fewer than"
            counted = f"{count:,} of {self.rows:,} calibration rows lacked it, {side} {as_percent(RARE)}"
            what = "signal" if is_signal_array(name) else "opinion"
            lines.append(f"A row that lacks the {what} {opinion_of_array(name)} {fate}: {counted}.")
        return lines

    def confidence(self, outputs: ClassifierOutputs) -> Floats:
        """Return the confidence in each prediction, float64 (n,): an oracle's trust logit, or a score's confidence.

        It is −∞ for a row without a prediction.
        """
        with located(self.name):
            model = self.model
            values = model.trust_logit(outputs) if isinstance(model, BaseOracle) else model.confidence(outputs)
        require_scales(outputs.arrays, self.answers, "calibration rows")
        unknown = np.flatnonzero(np.isnan(values))
        if len(unknown):
            raise SteepslopeError(f"expected a confidence of each prediction, found NaN in row {unknown[0]}", self.name)
        return np.where(outputs.predictions == UNKNOWN, -np.inf, values)

    @property
    def thresholds(self) -> Floats | None:
        """The thresholds to test, (t,), fixed by the reference; None without one."""
        if self.reference is None:
            return None
        return threshold_sequence(self.reference)

    def distance(self, outputs: ClassifierOutputs) -> Floats | None:
        """Return how far each row's features lie from known ones, float64 (n,), in (0, 1); None if unknown."""
        if self.oracle is None:
            return None
        return self.oracle.distance(outputs)

    def labelled(self, outputs: ClassifierOutputs, groups: Names | None) -> LabelledRows:
        """Return labelled outputs (n,), with their groups, as rows to calibrate on."""
        names = np.array(outputs.label_names)
        extra = likeliest_class(outputs)
        confidence = self.confidence(outputs)
        extra["true"] = np.asarray(outputs.require_labels(), np.int64)
        distance = self.distance(outputs)
        if distance is not None:
            extra["distance"] = distance
        return LabelledRows.of(
            confidence,
            outputs.is_correct,
            outputs.is_unknown,
            groups,
            true_classes=names[extra["true"]],
            predicted_classes=names[extra["predicted"]],
            of_log_odds=self.of_log_odds,
            extra=extra,
        )

    def fitted_on(self, outputs: ClassifierOutputs) -> Bools:
        """Return which of these rows the oracle is known to be fitted on, booleans (n,)."""
        if self.oracle is None or self.oracle.record_ is None:
            return np.zeros(len(outputs), dtype=np.bool_)
        return self.oracle.record_.seen(outputs)

    def require_classes(self, outputs: ClassifierOutputs, names: tuple[str, ...] | None) -> None:
        """Raise if outputs have another number of classes, or if their classes have other names."""
        if outputs.num_classes != self.num_classes:
            expected = f"expected {self.num_classes} classes, as the gate was calibrated for"
            raise SteepslopeError(f"{expected}, found {outputs.num_classes}", "outputs")
        require_same_class_names("the gate", names, outputs.classes)

    def require_explainable(self) -> None:
        """Raise unless the oracle can split trust logits by evidence."""
        if self.oracle is None or not self.oracle.explains:
            expected = "expected an oracle whose trust logit can be split: a fused one, or one without hidden layers"
            raise SteepslopeError(f"{expected}, found another", "explain")

    def require_new(self, outputs: ClassifierOutputs) -> None:
        """Raise if the oracle was fitted on some of the rows that a gate is to be calibrated on."""
        if self.oracle is None or self.oracle.record_ is None:
            return
        record = self.oracle.record_
        seen = record.shared_with(outputs)
        if seen:
            found = f"found {seen:,} of {len(outputs):,} rows on which the oracle was fitted: they prove nothing"
            if record.rows.ids is None or not have_ids_to_hash(outputs):
                found += f" ({BY_VALUES})"
            raise SteepslopeError(f"expected rows that nothing was fitted on, {found}", "outputs")

    def write(self, folder: Path) -> dict[str, Any]:
        """Write what the model has learnt into a folder, an oracle into a subfolder; return its part of the card."""
        known = {
            "num_classes": self.num_classes,
            "shapes": {name: list(shape) for name, shape in self.shapes.items()},
            "lacked": dict(self.lacked),
            "rows": self.rows,
            "answers": dict(self.answers),
        }
        if isinstance(self.model, BaseOracle):
            self.model.save(folder / ORACLE)
            return {"kind": ORACLE, **known}
        state = self.model.state()
        if state:
            save_arrays(state, folder / STATE)
        return {"kind": SCORE, "name": self.name, **known, "learnt": bool(state)}

    @classmethod
    def read(cls, folder: Path, card: Mapping[str, Any], path: Path, load_oracle: LoadOracle) -> ConfidenceSource:
        """Read what :meth:`write` wrote."""
        kind = field(card, "kind", str, path)
        num_classes = positive(card, "num_classes", path)
        if num_classes > MOST_CLASSES:
            raise SteepslopeError(f"expected at most {MOST_CLASSES:,} classes, found {num_classes:.3g}", path)
        known = vars(read_fields(_StoredSource, card, path))
        if kind == ORACLE:
            source = replace(cls.from_model(load_oracle(folder / ORACLE), num_classes), **known)
        else:
            name = field(card, "name", str, path)
            require_known(f"score in {path}:", name, SCORES)
            state = load_arrays(folder / STATE) if field(card, "learnt", bool, path) else {}
            with located(folder / STATE):
                source = cls(name, SCORES[name].restored(state, num_classes), num_classes, **known)
        for array in source.lacked:
            require_known(f"array in {path}:", array, source.arrays)
        return source


@dataclass(frozen=True)
class NetRecord:
    """A net's spec, the digest that tells it from others, and the transform of its input, as JSON.

    If the net gives an opinion, ``places`` are its classes' places among the classifier's.
    """

    spec: str
    digest: str
    transform: Mapping[str, Any]
    places: tuple[int, ...] | None = None

    @classmethod
    def from_manifest(cls, recorded: Mapping[str, Any], path: Path) -> NetRecord | None:
        """Return the record in a manifest's extraction; None if there is none."""
        if "digest" not in recorded:
            return None
        spec = recorded.get("classifier", recorded.get("spec"))
        return read_fields(cls, {**recorded, "spec": spec, "places": recorded.get(PLACES)}, path)

    def other(self, digest: str, place: str) -> SteepslopeError:
        """Return the error for another net, whose digest was found in place of this one's."""
        return SteepslopeError(
            f"expected the net that the gate was calibrated for (digest {self.digest[:SHORT]}), found another "
            f"({digest[:SHORT]}): calibrate a gate for that one",
            place,
        )


@dataclass(frozen=True)
class Origin:
    """The nets of the calibration outputs, and how these were extracted; None, or empty, if not recorded.

    ``opinions`` has the nets of other classifiers, by name. ``views`` and ``passes`` are the settings of the evidence
    with these names. ``maker`` is the model that gave the answers, where there is no net.
    """

    classifier: NetRecord | None = None
    auxiliary: NetRecord | None = None
    views: tuple[str, ...] | None = None
    passes: int | None = None
    precision: str = "32"
    features: str | None = None
    opinions: Mapping[str, NetRecord] = member(default_factory=dict)
    maker: str | None = None

    @classmethod
    def from_folder(cls, folder: Path, opinions: Mapping[str, Mapping[str, Any]] | None = None) -> Origin:
        """Return what the manifests in a folder of outputs record; nothing for a file.

        ``opinions`` has the records of the opinions' nets, as in ``Table.nets``, if not all of them are in the folder.
        """
        made = extraction_of_folder(folder)
        auxiliary = extraction_of_folder(folder / AUXILIARY)
        if opinions is None:
            opinions = opinions_in_folder(folder)
        nets = {}
        for name, recorded in opinions.items():
            net = NetRecord.from_manifest(recorded, folder)
            if net is not None:
                nets[name] = net
        views = made.get("views")
        passes = made.get("passes")
        return cls(
            NetRecord.from_manifest(made, folder),
            NetRecord.from_manifest(auxiliary, folder),
            views=None if views is None else tuple(map(str, views)),
            passes=None if passes is None else int(passes[0]),
            precision=str(made.get("precision", "32")),
            features=made.get("features"),
            opinions=nets,
        )

    def taken_by(self, source: ConfidenceSource, outputs: ClassifierOutputs) -> Origin:
        """Return the same origin with the nets of only the source's opinions, and with what gave the answers."""
        opinions = {name: net for name, net in self.opinions.items() if name in source.opinions}
        maker = None if outputs.is_extracted else outputs.classifier
        return replace(self, opinions=opinions, maker=maker)

    def require_classifier(self, digest: str | None) -> None:
        """Raise if outputs are known to be another classifier's."""
        if self.classifier is not None and digest not in (None, self.classifier.digest):
            raise self.classifier.other(str(digest), "outputs")
        if self.maker is not None and digest not in (None, self.maker):
            expected = f"expected {self.maker}, as the gate was calibrated for, found {maker_in_words(str(digest))}"
            remedy = "calibrate a gate for these, or set --answered-by if it is the same model"
            raise SteepslopeError(f"{expected}: {remedy}", "outputs")

    def require_opinions(self, nets: Mapping[str, Mapping[str, Any]]) -> None:
        """Raise if opinions are known to be those of other nets."""
        for name, record in self.opinions.items():
            digest = nets.get(name, {}).get("digest", record.digest)
            if digest != record.digest:
                raise record.other(str(digest), f"opinion {name}")


UNRECORDED = Origin()
