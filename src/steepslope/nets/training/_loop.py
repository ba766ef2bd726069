"""Train an oracle on images, step by step, and write the course of the training to a CSV file.

A training that was killed at any step goes on to the same weights.
"""

import csv
import math
import operator
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn

from steepslope.errors import SteepslopeError, UndefinedMetricError
from steepslope.files import Artifact, Notice, bar, silent, staged_folder
from steepslope.metrics import aupr_error
from steepslope.nets import load_weights, save_training_state, save_weights, seeded, take_up_state
from steepslope.nets.classifiers import takes_channels_last
from steepslope.nets.extraction import failing_together
from steepslope.nets.training._examples import DroppedFeatures, Example, Features, Steps
from steepslope.nets.training._learner import (
    freeze_backbone,
    learning_rate_at,
    momentum_at,
    optimizer_of,
    set_layer_modes,
)
from steepslope.nets.training._prepare import Training, Validation
from steepslope.oracle import CARD

_LOG_ROWS = 200
UNFINISHED = "unfinished.pt"  # the state from which a killed training goes on
_BEST = "unfinished-best.safetensors"
_FINETUNED = Artifact("a fitted oracle", CARD, made="training", unfinished=("unfinished.json", UNFINISHED, _BEST))
LAST = "last"  # the folder of the last step's oracle, where another epoch's is kept
HISTORY = "history.csv"
_HISTORY_COLUMNS = (
    "step", "epoch", "loss", "learning_rate", "momentum", "tpr", "tnr", "images_per_second", "valid_aupr_error",
)  # fmt: skip


@dataclass
class _TrainingProgress:
    """How far a training is: the steps that are done, the best validation score, and sums over all processes.

    ``loss`` and ``rows`` are summed since the last row of the history; ``counts`` since the epoch began: of wrong and
    of correct predictions, and of both how many are trusted. ``history`` has the rows of ``history.csv``.
    """

    step: int = 0
    best: float = -math.inf
    loss: float = 0.0
    rows: float = 0.0
    counts: list[float] = field(default_factory=lambda: [0.0] * 4)
    history: list[dict[str, Any]] = field(default_factory=list)

    def add(self, loss: float, rows: float, *counts: float) -> None:
        """Add a step, as :func:`_totals_of_step` has it."""
        self.step += 1
        self.loss += loss
        self.rows += rows
        self.counts = list(map(operator.add, self.counts, counts))

    @property
    def rates(self) -> dict[str, float]:
        """The fractions of correct predictions that are trusted and of wrong ones that are not, NaN without any."""
        wrong, correct, wrong_trusted, correct_trusted = self.counts
        rates = {"tpr": math.nan, "tnr": math.nan}
        if correct:
            rates["tpr"] = correct_trusted / correct
        if wrong:
            rates["tnr"] = 1 - wrong_trusted / wrong
        return rates


def _validation_score(trust_logit: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """Return the AUPR-Error, −inf where no prediction is wrong or none correct."""
    try:
        return float(aupr_error(trust_logit, is_correct))
    except UndefinedMetricError:
        return -math.inf


def _totals_of_step(losses: Tensor, z: Tensor, is_correct: Tensor) -> Tensor:
    """Return what :meth:`_TrainingProgress.add` takes of one part of a step, float64 (6,)."""
    correct = is_correct.bool()
    trusted = z > 0
    counts = torch.stack([torch.ones_like(correct), ~correct, correct, trusted & ~correct, trusted & correct]).sum(1)
    return torch.cat([losses.detach().double().sum()[None], counts.double()])


def _write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``history.csv`` whole: it has some hundred rows."""
    with (
        staged_folder(path.parent, last=path.name) as staging,
        (staging / path.name).open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, _HISTORY_COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            rounded = {name: f"{value:.6g}" for name, value in row.items() if isinstance(value, float)}
            writer.writerow(row | rounded)


def finetune(training: Training, out: Path, fabric: Fabric, notice: Notice = silent, replace_it: bool = False) -> None:
    """Train, and write the oracle to ``out``, or find it complete there.

    ``notice`` is told, in the first process, that the oracle was complete or where the training goes on. With
    ``replace_it`` a finished oracle is replaced once the new one is done, and another training's state at once.

    Raises
    ------
    SteepslopeError
        If the folder holds another training, finished or not, that is not to be replaced; if the loss is not finite,
        with the number of the step; the last saved state stays.
    """
    if not fabric.is_global_zero:
        notice = silent
    with failing_together(fabric):
        complete = _FINETUNED.is_complete(out, training.key, replace_it)
    if fabric.broadcast(complete):
        notice(f"{out}: already complete")
        return
    _by_first_process(fabric, partial(_FINETUNED.begin, out, training.key))
    run = _TrainingRun(training, out, fabric)
    if run.resume():
        notice(f"{out}: goes on after step {run.progress.step:,} of {run.steps.total:,}")
    run.train()
    _by_first_process(fabric, partial(_finish_oracle, training, out))


def _by_first_process(fabric: Fabric, do: Callable[[], None]) -> None:
    """Let the first process do something; where it fails, all fail."""
    with failing_together(fabric):
        if fabric.is_global_zero:
            do()


def _finish_oracle(training: Training, out: Path) -> None:
    """Write the oracle that the recipe selects, with the last one next to it where that is another."""
    net = training.oracle.net.cpu().eval()
    oracle = replace(training.oracle, net=net)
    if training.recipe.select == "aupr_error" and (out / _BEST).exists():
        oracle.save(out / LAST, training.key)
        load_weights(net, out / _BEST)
    oracle.save(out, training.key)
    _FINETUNED.end(out)


class _TrainingRun:
    """A training under way: the net, the optimizer, and the progress that changes from step to step."""

    def __init__(self, training: Training, out: Path, fabric: Fabric) -> None:
        self.training = training
        self.out = out
        self.fabric = fabric
        self.recipe = recipe = training.recipe
        self.net = training.oracle.net
        self.progress = _TrainingProgress()
        self.steps = Steps.of(recipe, len(training.source), fabric.world_size)
        freeze_backbone(self.net, recipe)
        learner: nn.Module = self.net.top
        self.layout = torch.contiguous_format
        if not isinstance(training.source, Features | DroppedFeatures):
            learner = self.net
            images = torch.zeros((2, training.oracle.transform.channels, *self.net.size))
            if takes_channels_last(self.net.backbone, self.net, images.to(fabric.device)):
                self.layout = torch.channels_last  # in which a net is faster
        self.optimizer = optimizer_of(recipe, learner)
        if fabric.device.type == "cuda" and fabric.world_size > 1 and recipe.batch_norm == "train":
            learner = convert_sync_batchnorm(learner)  # timm's, which keeps the activations that its layers hold
        self.learner, self.running_optimizer = fabric.setup(learner, self.optimizer)

    def resume(self) -> bool:
        """Take up where a killed run of the same training was saved; return whether there was one."""
        about = take_up_state(self.out / UNFINISHED, self.net, self.optimizer)
        if about is None:
            return False
        if about.get("precision"):  # of float16: by how much losses are scaled
            self.fabric.strategy.precision.load_state_dict(about["precision"])
        self.progress = _TrainingProgress(**about["progress"])
        return self.progress.step > 0

    def save(self) -> None:
        """Save all from which a killed run goes on; weights that are not finite are an error, and nothing is saved."""
        weights = self.net.state_dict()
        for name, tensor in weights.items():
            if not tensor.isfinite().all():
                raise self._not_finite(f"after step {self.progress.step}: {name}")
        about = {"progress": asdict(self.progress), "precision": self.fabric.strategy.precision.state_dict()}
        _by_first_process(
            self.fabric, partial(save_training_state, self.out / UNFINISHED, weights, self.optimizer, about)
        )

    def _not_finite(self, what: str) -> SteepslopeError:
        """Build the error for a training that has diverged."""
        advice = "a lower learning rate or --clip may help; what was saved before stays"
        return SteepslopeError(f"{what} is not finite: {advice}", self.out)

    def train(self) -> None:
        """Take all steps that are left."""
        set_layer_modes(self.net, self.recipe)
        progress = self.progress
        total = self.steps.total
        source = self.training.source
        rank = self.fabric.global_rank
        examples = source.from_step(progress.step, self.steps, rank, self.training.workers)
        every = max(1, total // _LOG_ROWS)
        rows = 0
        start = time.monotonic()
        with bar("training", total, progress.step, shown=self.fabric.is_global_zero) as shown:
            while progress.step < total:
                with failing_together(self.fabric):  # an image that cannot be read stops all processes
                    parts = [next(examples) for _ in range(self.recipe.accumulate)]
                loss = self.take_step(parts)
                rows += self.steps.rows_of(progress.step - 1)
                ended = progress.step % self.steps.an_epoch == 0
                if progress.step % every == 0 or ended:
                    speed = rows / (time.monotonic() - start)
                    self._log(speed, self._validated() if ended else None)
                    rates = progress.rates
                    course = f"loss {loss:.4f}, TPR {rates['tpr']:.3f}, TNR {rates['tnr']:.3f}"
                    shown.set_postfix_str(f"{course}, {speed:.0f} images/s", refresh=False)
                if ended:
                    progress.counts = [0.0] * 4
                if progress.step % self.recipe.save_every == 0 or ended:
                    self.save()
                shown.update()

    def take_step(self, parts: list[Example]) -> float:
        """Work through the parts of one step, and change the weights; return the mean loss."""
        step = self.progress.step
        rows = self.steps.rows_of(step)
        processes = self.fabric.world_size
        for group in self.optimizer.param_groups:
            group |= self._rates(step)
        totals = torch.zeros(6, dtype=torch.float64, device=self.fabric.device)
        with seeded(1_000_003 * self.recipe.seed + step * processes + self.fabric.global_rank):
            for index, part in enumerate(parts):
                is_last = index == len(parts) - 1
                with self.fabric.no_backward_sync(self.learner, enabled=not is_last):
                    totals += self._backward(part, processes / rows)
        total = self.fabric.all_reduce(totals, reduce_op="sum")
        assert isinstance(total, Tensor)
        summed: tuple[float, ...] = tuple(total.tolist())
        if not math.isfinite(summed[0]):
            raise self._not_finite(f"step {step + 1}: the loss, or a logit of the classifier,")
        if self.recipe.clip:
            self.fabric.clip_gradients(
                self.learner, self.running_optimizer, max_norm=self.recipe.clip, error_if_nonfinite=False
            )
        self.running_optimizer.step()
        self.running_optimizer.zero_grad()
        self.progress.add(*summed)
        return summed[0] / rows

    def _rates(self, step: int) -> dict[str, float]:
        """Return the learning rate of a step, and its momentum where the optimizer has one, as torch names them."""
        rates = {"lr": learning_rate_at(self.recipe, step, self.steps.total)}
        if self.recipe.has_momentum:
            rates["momentum"] = momentum_at(self.recipe, step, self.steps.total)
        return rates

    def _backward(self, part: Example, weight: float) -> Tensor:
        """Add one part's gradient, weighted, and return its totals."""
        part = Example(*(tensor.to(self.fabric.device, non_blocking=True) for tensor in part))
        is_correct, target, finite = self.training.targets(part)
        z = self.learner(part.oracle.contiguous(memory_format=self.layout))
        losses = self.training.loss(z, target)
        self.fabric.backward(losses.sum() * weight)
        return _totals_of_step(torch.where(finite, losses.detach(), torch.nan), z, is_correct)

    def _validated(self) -> float | None:
        """Return the validation score, where epochs are compared, and keep the best weights."""
        validation = self.training.validation
        if validation is None:
            return None
        self.net.eval()
        score = _validation_score(self._trust_logits_of(validation), validation.is_correct)
        set_layer_modes(self.net, self.recipe)
        if score > self.progress.best:
            self.progress.best = score
            _by_first_process(self.fabric, self._save_best)
        return score

    def _trust_logits_of(self, validation: Validation) -> NDArray[np.float64]:
        """Return the trust logits of all validation rows, of which each process computes some."""
        z = torch.zeros(len(validation.is_correct), dtype=torch.float64)
        mine = torch.arange(self.fabric.global_rank, len(z), self.fabric.world_size)
        with failing_together(self.fabric), torch.no_grad():
            z[mine] = validation.trust_logit(mine)
        total = self.fabric.all_reduce(z.to(self.fabric.device), reduce_op="sum")
        assert isinstance(total, Tensor)
        return np.asarray(total.cpu().numpy())

    def _save_best(self) -> None:
        with staged_folder(self.out, last=_BEST) as staging:
            save_weights(self.net.state_dict(), staging / _BEST)

    def _log(self, speed: float, score: float | None) -> None:
        """Write a row, in the first process, and begin the mean loss again."""
        progress = self.progress
        last = progress.step - 1
        rates = self._rates(last)
        row: dict[str, Any] = {"step": progress.step, "epoch": last // self.steps.an_epoch + 1}
        row |= {"loss": progress.loss / progress.rows, "learning_rate": rates.pop("lr"), **rates}
        row |= {**progress.rates, "images_per_second": speed}
        if score is not None:
            row["valid_aupr_error"] = score
        progress.history.append(row)
        _by_first_process(self.fabric, partial(_write_history, self.out / HISTORY, progress.history))
        progress.loss = progress.rows = 0.0
