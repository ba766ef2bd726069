"""Train an oracle on images, step by step, and write the course of the training to a CSV file.

A training that was killed at any step goes on to the same weights.
"""

import csv
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from timm.layers import convert_sync_batchnorm
from torch import Tensor, nn

from steepslope.errors import SteepslopeError
from steepslope.files import Artifact, Notice, bar, silent, staged_folder
from steepslope.nets._seeding import seeded
from steepslope.nets._weights import load_weights, save_training_state, save_weights, take_up_state
from steepslope.nets.classifiers import takes_channels_last
from steepslope.nets.extraction import failing_together
from steepslope.nets.training._examples import DroppedFeatures, Example, Features, Steps
from steepslope.nets.training._learner import (
    freeze_backbone,
    learning_rate_at,
    momentum_at,
    optimizer_has_momentum,
    optimizer_of,
    set_layer_modes,
)
from steepslope.nets.training._prepare import Training
from steepslope.oracle import CARD

LOG_ROWS = 200
UNFINISHED = "unfinished.pt"  # the state from which a killed training goes on
BEST = "unfinished-best.safetensors"
FINETUNED = Artifact("a fitted oracle", CARD, made="training", unfinished=("unfinished.json", UNFINISHED, BEST))
LAST = "last"  # the folder of the last step's oracle, where another epoch's is kept
HISTORY = "history.csv"
HISTORY_COLUMNS = (
    "step", "epoch", "loss", "learning_rate", "momentum", "tpr", "tnr", "images_per_second", "valid_aupr_error",
)  # fmt: skip


@dataclass
class TrainingProgress:
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
        """Add a step, as :func:`totals_of_step` has it."""
        self.step += 1
        self.loss += loss
        self.rows += rows
        self.counts = [known + new for known, new in zip(self.counts, counts, strict=True)]

    @property
    def rates(self) -> dict[str, float]:
        """The fractions of correct predictions that are trusted and of wrong ones that are not, NaN without any."""
        wrong, correct, wrong_trusted, correct_trusted = self.counts
        return {
            "tpr": correct_trusted / correct if correct else math.nan,
            "tnr": 1 - wrong_trusted / wrong if wrong else math.nan,
        }


def totals_of_step(losses: Tensor, z: Tensor, is_correct: Tensor) -> Tensor:
    """Return what :meth:`TrainingProgress.add` takes of one part of a step, float64 (6,)."""
    correct = is_correct.bool()
    trusted = z > 0
    counts = torch.stack([torch.ones_like(correct), ~correct, correct, trusted & ~correct, trusted & correct]).sum(1)
    return torch.cat([losses.detach().double().sum()[None], counts.double()])


def write_history(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write ``history.csv`` whole: it has some hundred rows."""
    with (
        staged_folder(path.parent, last=path.name) as staging,
        (staging / path.name).open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, HISTORY_COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
            )


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
    notice = notice if fabric.is_global_zero else silent
    with failing_together(fabric):
        complete = FINETUNED.is_complete(out, training.key, replace_it)
    if fabric.broadcast(complete):
        notice(f"{out}: already complete")
        return
    _by_first_process(fabric, partial(FINETUNED.begin, out, training.key))
    run = TrainingRun(training, out, fabric)
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
    if training.recipe.select == "aupr_error" and (out / BEST).exists():
        oracle.save(out / LAST, training.key)
        load_weights(net, out / BEST)
    oracle.save(out, training.key)
    FINETUNED.end(out)


class TrainingRun:
    """A training under way: the net, the optimizer, and the progress that changes from step to step."""

    def __init__(self, training: Training, out: Path, fabric: Fabric) -> None:
        self.training, self.out, self.fabric = training, out, fabric
        self.recipe = training.recipe
        self.net = training.oracle.net
        self.progress = TrainingProgress()
        recipe, gets_features = self.recipe, isinstance(training.source, Features | DroppedFeatures)
        self.steps = Steps(len(training.source), recipe.batch_size, fabric.world_size, recipe.accumulate, recipe.epochs,
                           recipe.seed)  # fmt: skip
        freeze_backbone(self.net, recipe)
        images = torch.zeros((2, training.oracle.transform.channels, *self.net.size))
        # laid out channels last, a net is faster, unless it cannot run so
        self.channels_last = not gets_features and takes_channels_last(
            self.net.backbone, self.net, images.to(fabric.device)
        )
        learner: nn.Module = self.net.top if gets_features else self.net
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
        self.progress = TrainingProgress(**about["progress"])
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
        progress, total = self.progress, self.steps.total
        rank, workers = self.fabric.global_rank, self.training.workers
        examples = self.training.source.from_step(progress.step, self.steps, rank, workers)
        every = max(1, total // LOG_ROWS)
        clock, rows = time.monotonic(), 0
        with bar("training", total, progress.step, shown=self.fabric.is_global_zero) as shown:
            while progress.step < total:
                with failing_together(self.fabric):  # an image that cannot be read stops all processes
                    parts = [next(examples) for _ in range(self.recipe.accumulate)]
                loss = self.take_step(parts)
                rows += self.steps.rows_of(progress.step - 1)
                ended = progress.step % self.steps.an_epoch == 0
                if progress.step % every == 0 or ended:
                    speed = rows / (time.monotonic() - clock)
                    self._log(speed, self._validated() if ended else None)
                    rates = ", ".join(f"{name.upper()} {rate:.3f}" for name, rate in progress.rates.items())
                    shown.set_postfix_str(f"loss {loss:.4f}, {rates}, {speed:.0f} images/s", refresh=False)
                if ended:
                    progress.counts = [0.0] * 4
                if progress.step % self.recipe.save_every == 0 or ended:
                    self.save()
                shown.update()

    def take_step(self, parts: list[Example]) -> float:
        """Work through the parts of one step, and change the weights; return the mean loss."""
        step, rows = self.progress.step, self.steps.rows_of(self.progress.step)
        for group in self.optimizer.param_groups:
            group |= self._rates(step)
        totals = torch.zeros(6, dtype=torch.float64, device=self.fabric.device)
        with seeded(1_000_003 * self.recipe.seed + step * self.fabric.world_size + self.fabric.global_rank):
            for index, part in enumerate(parts):
                with self.fabric.no_backward_sync(self.learner, enabled=index < len(parts) - 1):
                    totals += self._backward(part, self.fabric.world_size / rows)
        total = self.fabric.all_reduce(totals, reduce_op="sum")
        assert isinstance(total, Tensor)
        summed: tuple[float, ...] = tuple(total.tolist())
        if not math.isfinite(summed[0]):
            raise self._not_finite(f"step {step + 1}: the loss, or a logit of the classifier,")
        if self.recipe.clip:
            self.fabric.clip_gradients(self.learner, self.running_optimizer, max_norm=self.recipe.clip,
                                       error_if_nonfinite=False)  # fmt: skip
        self.running_optimizer.step()
        self.running_optimizer.zero_grad()
        self.progress.add(*summed)
        return summed[0] / rows

    def _rates(self, step: int) -> dict[str, float]:
        """Return the learning rate of a step, and its momentum where the optimizer has one, as torch names them."""
        total = self.steps.total
        momentum = {"momentum": momentum_at(self.recipe, step, total)} if optimizer_has_momentum(self.recipe) else {}
        return {"lr": learning_rate_at(self.recipe, step, total), **momentum}

    def _backward(self, part: Example, weight: float) -> Tensor:
        """Add one part's gradient, weighted, and return its totals."""
        part = Example(*(tensor.to(self.fabric.device, non_blocking=True) for tensor in part))
        is_correct, target, finite = self.training.targets(part)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        z = self.learner(part.oracle.contiguous(memory_format=layout))
        losses = self.training.loss(z, target)
        self.fabric.backward(losses.sum() * weight)
        return totals_of_step(torch.where(finite, losses.detach(), torch.nan), z, is_correct)

    def _validated(self) -> float | None:
        """Return the validation score, where epochs are compared, and keep the best weights."""
        if self.training.validation is None:
            return None
        self.net.eval()
        score = self.training.validation(self.fabric)
        set_layer_modes(self.net, self.recipe)
        if score > self.progress.best:
            self.progress.best = score
            _by_first_process(self.fabric, self._save_best)
        return score

    def _save_best(self) -> None:
        with staged_folder(self.out, last=BEST) as staging:
            save_weights(self.net.state_dict(), staging / BEST)

    def _log(self, speed: float, score: float | None) -> None:
        """Write a row, in the first process, and begin the mean loss again."""
        progress, step = self.progress, self.progress.step
        rates = self._rates(step - 1)
        row = {"step": step, "epoch": (step - 1) // self.steps.an_epoch + 1, "loss": progress.loss / progress.rows}
        row |= {"learning_rate": rates.pop("lr"), **rates, **progress.rates, "images_per_second": speed}
        if score is not None:
            row["valid_aupr_error"] = score
        progress.history.append(row)
        _by_first_process(self.fabric, partial(write_history, self.out / HISTORY, progress.history))
        progress.loss = progress.rows = 0.0
