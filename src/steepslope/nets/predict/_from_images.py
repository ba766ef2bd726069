"""A gate's decisions on the images of a data set, in chunks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from steepslope.errors import located
from steepslope.files import Notice, silent
from steepslope.gate import REVIEW, Gate
from steepslope.nets.data import ClassNames, Dataset, DatasetSpec, labels_by_name
from steepslope.nets.extraction import (
    Batches,
    Engine,
    ExtractionOptions,
    Shards,
    classifier_on_backend,
    plan_shards,
    run_shards,
    single_device,
)
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.outputs import Frame, require_ids_once
from steepslope.predict import (
    ENDING,
    ERROR,
    FINGERPRINT,
    GroupOf,
    Made,
    PredictOptions,
    chunk_with_columns,
    groups_of_chunk_ids,
    rows_for_chunk,
)


def images_to_judge(image_gate: ImageGate, spec: DatasetSpec) -> Dataset:
    """Open the images that a gate is to decide on; raise where two have one id."""
    classes, classifier = image_gate.gate.classes, image_gate.classifier
    labels = None if classes is None else labels_by_name(classes)
    images = spec.open(names=ClassNames(labels, classifier.classes, classifier.num_classes))
    with located(str(spec)):
        require_ids_once(images.ids)
    return images


@dataclass(frozen=True, eq=False)
class FromImages:
    """The decisions on the images of a data set, ``source``; a chunk is some neighbouring images.

    ``first`` is the number that the data set's first row has in the whole, where it is a part of one.
    """

    image_gate: ImageGate
    data: Dataset
    source: str
    options: PredictOptions
    groups: GroupOf | None = None
    first: int = 0
    together: GroupOf | None = None

    @property
    def gate(self) -> Gate:
        """The gate."""
        return self.image_gate.gate

    def key(self) -> dict[str, Any]:
        """Return what decides the rows, next to gate and options."""
        verify = self.options.verify
        return {"data": self.source, FINGERPRINT: self.data.fingerprint(verify=verify), "verify": verify}

    def missing(self, folder: Path, notice: Notice = silent) -> Made:
        """Yield the chunks that are not in the folder yet, with their rows."""
        shards = self.missing_shards(folder)
        if shards:
            yield from self.made(shards, self.engines(notice))

    def missing_shards(self, folder: Path) -> Shards:
        """Return the chunks that are not in the folder yet, with their images in batches."""
        return {path: some for path, some in self._planned_chunks(folder).items() if not path.exists()}

    def engines(self, notice: Notice = silent) -> list[Engine]:
        """Return the nets on this process's device: the classifier, and the others."""
        precision = self.image_gate.options.precision
        fabric = single_device(precision)
        nets = [(self.image_gate.classifier, self.image_gate.options)]
        nets += [(other.net, other.options(precision)) for other in self.image_gate.others.values()]
        chosen = [(net, self._options_of_net(options)) for net, options in nets]
        return [
            Engine.on(classifier_on_backend(net, options, fabric, notice), options, fabric) for net, options in chosen
        ]

    def made(self, shards: Shards, engines: Sequence[Engine]) -> Made:
        """Yield chunks with their rows, as the nets make them; a bar counts the images."""
        runs = [
            run_shards(shards, engine, self.data, self.source, shown=engine is engines[0], first=self.first)
            for engine in engines
        ]
        for (path, batches), *others in zip(*runs, strict=True):
            yield path, self._rows_of_chunk(batches, [one for _, one in others])

    def all(self, folder: Path) -> list[Path]:
        """Return the files of all chunks, in order."""
        return list(self._planned_chunks(folder))

    def _planned_chunks(self, folder: Path) -> Shards:
        return plan_shards(self.data, self._options_of_net(self.image_gate.options), folder, ENDING)

    def _options_of_net(self, of_net: ExtractionOptions) -> ExtractionOptions:
        chosen = self.options
        return replace(
            of_net, batch_size=chosen.batch_size, workers=chosen.workers, shard_rows=chosen.shard_rows,
            backend=chosen.backend, verify=chosen.verify, on_error="skip" if chosen.on_error == "keep" else "stop",
        )  # fmt: skip

    def _rows_of_chunk(self, batches: Batches, others: Sequence[Batches]) -> Frame:
        """Return the rows of a chunk: those of its images, and of those that a net could not be given, in order."""
        failed = {row: reason for one in (*others, batches) for batch, _ in one for row, reason in batch.failed}
        rows = [row for row in _rows_of_batches(batches) if row not in failed]
        tables = [self._decisions_of_rows(rows, batches, others)] if rows else []
        if failed:  # they are not accepted, and have the reason
            columns = {
                "id": [str(self.data.ids[row]) for row in failed],
                "accepted": [False] * len(failed),
                "decision": [REVIEW] * len(failed),
                ERROR: [*failed.values()],
            }
            tables.append({name: np.array(column) for name, column in columns.items()})
        dtypes = {name: column.dtype for table in reversed(tables) for name, column in table.items()}
        names = [*dict.fromkeys(name for table in tables for name in table)]
        if self.options.on_error == "keep" and ERROR not in dtypes:
            dtypes[ERROR] = np.dtype(np.str_)
            names.append(ERROR)
        parts = [chunk_with_columns(table, {name: dtypes[name] for name in names}) for table in tables]
        order = np.argsort([*rows, *failed], kind="stable")
        shared = ([part[name] for part in parts] for name in names)
        joined = [np.ma.concatenate(column)[order] for column in shared]  # type: ignore[no-untyped-call]
        return dict(zip(names, joined, strict=True))

    def _decisions_of_rows(self, rows: list[int], batches: Batches, others: Sequence[Batches]) -> Frame:
        arrays = _joined_batches(batches, rows)
        for (name, net), one in zip(self.image_gate.others.items(), others, strict=True):
            arrays[name] = net.array(arrays["logits"], _joined_batches(one, rows))
        ids = self.data.ids
        arrays["ids"] = np.array([str(ids[row]) for row in rows])
        groups = None if self.groups is None else groups_of_chunk_ids(self.groups, arrays["ids"])
        outputs = self.image_gate.as_outputs(arrays)
        gate = self.image_gate.seeing(self.data)
        return rows_for_chunk(gate.decide_rows(outputs, groups, top=self.options.top, explain=self.options.explain))


def _rows_of_batches(batches: Batches) -> list[int]:
    return [row for batch, _ in batches for row in batch.rows]


def _joined_batches(batches: Batches, rows: Sequence[int]) -> dict[str, NDArray[Any]]:
    """Return the arrays of some of the rows; one net may take an image that another cannot."""
    names = next(some for _, some in batches if some)
    kept = np.isin(_rows_of_batches(batches), rows)
    return {name: np.concatenate([some[name] for _, some in batches if some])[kept] for name in names}
