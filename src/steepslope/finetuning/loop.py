"""Train an oracle on images; killed at any step, it goes on to the same weights."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from timm.layers import DropPath, convert_sync_batchnorm
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from steepslope.classifiers.layout import takes_channels_last
from steepslope.errors import SteepslopeError, UndefinedMetricError
from steepslope.extraction.engine import dropout_layers
from steepslope.extraction.machines import together
from steepslope.finetuning.examples import Example, Features, Source, Steps
from steepslope.finetuning.history import History, Running, totals_of
from steepslope.finetuning.recipe import Finetuning
from steepslope.finetuning.schedules import momentum_at, rate_at
from steepslope.finetuning.targets import Judge
from steepslope.metrics import aupr_error
from steepslope.oracle.on_images import ImageOracle, ImageOracleNet
from steepslope.oracle.storage import CARD
from steepslope.outputs import ClassifierOutputs
from steepslope.utilities.files import read_json, staged_folder
from steepslope.utilities.progress import bar, console
from steepslope.utilities.run_state import load_state, restore_optimizer, save_state
from steepslope.utilities.same import require_same
from steepslope.utilities.seeding import seeded
from steepslope.utilities.weights import load_weights, save_weights

STATE = "unfinished.safetensors"
BEST = "unfinished-best.safetensors"
HISTORY = "history.csv"
LAST = "last"  # the folder of the last step's oracle, where another epoch's is kept
LOG_ROWS = 200


@dataclass(frozen=True, eq=False)
class Validation:
    """Outputs on which epochs are compared; ``look`` gives the oracle's trust logits of some of their rows."""

    outputs: ClassifierOutputs
    look: Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True, eq=False)
class Task:
    """All that a training works on.

    ``source`` gives the examples, ``judge`` what to teach of them. ``key`` says all that decides the result. Where the
    source gives features, only the net's top is run.
    """

    oracle: ImageOracle
    recipe: Finetuning
    source: Source
    judge: Judge
    loss: Callable[[Tensor, Tensor], Tensor]
    valid: Validation | None
    key: dict[str, Any]
    workers: int = 0
    tensorboard: bool = False


def finetune(task: Task, out: Path, fabric: Fabric) -> ImageOracle:
    """Train, and write the oracle to ``out``, or find it complete there.

    Raises
    ------
    SteepslopeError
        If the folder holds another training, finished or not; if the loss is not finite, with the number of the step;
        the last saved state stays.
    """
    with together(fabric):
        _require_same(out, task.key)
    done = fabric.broadcast((out / CARD).exists())
    if done:
        if fabric.is_global_zero:
            console().print(f"{out}: already complete")
            _remove_states(out)
        return ImageOracle.load(out, [task.oracle.backbone])
    run = _Run(task, out, fabric)
    run.resume()
    run.train()
    with together(fabric):
        if fabric.is_global_zero:
            run.finish()
    return replace(task.oracle, net=task.oracle.net.cpu().eval())


def _require_same(out: Path, key: dict[str, Any]) -> None:
    found: dict[str, Any] | None = None
    if (out / CARD).exists():
        found = read_json(out / CARD, "a fitted oracle").get("training") or {}
    elif (state := load_state(out / STATE)) is not None:
        found = state[2].get("key") or {}
    if found is not None:
        require_same(out, "another training", found, key)


class _Run:
    """The net, the optimizer and the numbers that change from step to step."""

    def __init__(self, task: Task, out: Path, fabric: Fabric) -> None:
        self.task, self.out, self.fabric = task, out, fabric
        self.recipe = task.recipe
        self.net = task.oracle.net
        recipe = self.recipe
        self.steps = Steps(len(task.source), recipe.batch_size, fabric.world_size, recipe.accumulate, recipe.epochs,
                           recipe.seed)  # fmt: skip
        freeze(self.net, recipe)
        self.channels_last = not isinstance(task.source, Features) and _takes_channels_last(self.net, task.oracle)
        learner: nn.Module = self.net.top if isinstance(task.source, Features) else self.net
        self.optimizer = optimizer_of(recipe, learner)
        if fabric.device.type == "cuda" and fabric.world_size > 1 and recipe.batch_norm == "train":
            learner = convert_sync_batchnorm(learner)  # timm's, which keeps the activations that its layers hold
        compiled: Any = torch.compile(learner) if recipe.compile else learner
        self.learner, self.running_optimizer = fabric.setup(compiled, self.optimizer)
        self.step, self.best, self.running = 0, -math.inf, Running()

    def resume(self) -> None:
        """Take up where a killed run was saved."""
        state = load_state(self.out / STATE)
        if state is None:
            return
        weights, moments, about = state
        self.net.load_state_dict(weights)
        restore_optimizer(self.optimizer, moments)
        self.step, self.running = about["step"], Running(**about["running"])
        self.best = -math.inf if about["best"] is None else about["best"]
        if about.get("precision"):  # of float16: by how much losses are scaled
            self.fabric.strategy.precision.load_state_dict(about["precision"])
        if self.fabric.is_global_zero:
            console().print(f"{self.out}: goes on after step {self.step:,} of {self.steps.total:,}")

    def train(self) -> None:
        """Take all steps that are left."""
        self.set_modes()
        examples = self.task.source.from_step(self.step, self.steps, self.fabric.global_rank, self.task.workers)
        every = max(1, self.steps.total // LOG_ROWS)
        clock, rows = time.monotonic(), 0
        with bar(self.fabric.is_global_zero) as progress, self._history() as history:
            line = progress.add_task("training", total=self.steps.total, completed=self.step)
            while self.step < self.steps.total:
                with together(self.fabric):  # an image that cannot be read stops all processes
                    parts = [next(examples) for _ in range(self.recipe.accumulate)]
                self.take_step(parts)
                rows += self.steps.rows_of(self.step - 1)
                ended = self.step % self.steps.an_epoch == 0
                if self.step % every == 0 or ended:
                    speed = rows / (time.monotonic() - clock)
                    score = self._validated() if ended else None
                    with together(self.fabric):
                        self._log(history, speed, score)
                    says = f"training, loss {self.loss:.4f}, TPR {self.running.tpr:.3f}, TNR {self.running.tnr:.3f}"
                    progress.update(line, description=f"{says}, {speed:.0f} images/s")
                if ended:
                    self.running = Running()
                if self.step % self.recipe.save_every == 0 or ended:
                    self._save()
                progress.update(line, completed=self.step)

    def set_modes(self) -> None:
        """Set which layers train, which only serve, and which drop units."""
        recipe = self.recipe
        self.net.train()
        if recipe.trainable == "head":
            self.net.backbone.eval()
        for layer in self.net.backbone.modules():
            if isinstance(layer, nn.modules.batchnorm._BatchNorm) and recipe.batch_norm == "frozen":
                layer.eval()
        for layer in [*dropout_layers(self.net.backbone), *_paths(self.net.backbone)]:
            layer.training = recipe.frozen_dropout if recipe.trainable == "head" else recipe.dropout

    def take_step(self, parts: list[Example]) -> None:
        """Work through the parts of one step, and change the weights."""
        rows = self.steps.rows_of(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate_at(self.recipe, self.step, self.steps.total)
            if self._has_momentum:
                group["momentum"] = momentum_at(self.recipe, self.step, self.steps.total)
        totals = torch.zeros(6, dtype=torch.float64, device=self.fabric.device)
        with seeded(1_000_003 * self.recipe.seed + self.step * self.fabric.world_size + self.fabric.global_rank):
            for index, part in enumerate(parts):
                with self.fabric.no_backward_sync(self.learner, enabled=index < len(parts) - 1):
                    totals += self._backward(part, self.fabric.world_size / rows)
        summed = tuple(self._summed(totals).tolist())
        if not math.isfinite(summed[0]):
            raise SteepslopeError(
                f"{self.out}: step {self.step + 1}: the loss, or a logit of the classifier, is not finite: a lower "
                "learning rate or --clip may help; what was saved before stays"
            )
        if self.recipe.clip:
            self.fabric.clip_gradients(self.learner, self.running_optimizer, max_norm=self.recipe.clip,
                                       error_if_nonfinite=False)  # fmt: skip
        self.running_optimizer.step()
        self.running_optimizer.zero_grad()
        self.running.add(summed)
        self.loss = summed[0] / rows
        self.step += 1

    def _backward(self, part: Example, share: float) -> Tensor:
        """Add one part's gradient, and return its totals."""
        part = Example(*(tensor.to(self.fabric.device, non_blocking=True) for tensor in part))
        is_correct, target, finite = self.task.judge(part)
        layout = torch.channels_last if self.channels_last else torch.contiguous_format
        z = self.learner(part.oracle.contiguous(memory_format=layout))
        losses = self.task.loss(z, target)
        self.fabric.backward(losses.sum() * share)
        return totals_of(torch.where(finite, losses.detach(), torch.nan), z, is_correct)

    def _validated(self) -> float | None:
        """Return the AUPR-Error on the validation rows, each process looking at some, and keep the best weights."""
        if self.task.valid is None:
            return None
        rank, world = self.fabric.global_rank, self.fabric.world_size
        valid = self.task.valid
        z = torch.zeros(len(valid.outputs), dtype=torch.float64)
        mine = np.arange(rank, len(z), world)
        self.net.eval()
        with together(self.fabric):
            z[torch.from_numpy(mine)] = torch.from_numpy(valid.look(mine))
        self.set_modes()
        score = validation_score(self._summed(z).cpu().numpy(), valid.outputs.is_correct)
        if score > self.best:
            self.best = score
            with together(self.fabric):
                if self.fabric.is_global_zero:
                    with staged_folder(self.out, last=BEST) as staging:
                        save_weights(self.net.state_dict(), staging / BEST)
        return score

    def _summed(self, values: Tensor) -> Tensor:
        """Return the sum over all processes."""
        total = self.fabric.all_reduce(values.to(self.fabric.device), reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    @property
    def _has_momentum(self) -> bool:
        return self.recipe.optimizer == "sgd"

    @contextmanager
    def _history(self) -> Iterator[History | None]:
        """Open the first process's history for the length of the block."""
        history = None
        with together(self.fabric):
            if self.fabric.is_global_zero:
                self.out.mkdir(parents=True, exist_ok=True)
                board = self.out / "tensorboard" if self.task.tensorboard else None
                history = History(self.out / HISTORY, self.step, board)
        with nullcontext() if history is None else closing(history):
            yield history

    def _log(self, history: History | None, speed: float, score: float | None) -> None:
        """Write a row, in the first process, and begin the mean loss anew."""
        running, step, total = self.running, self.step - 1, self.steps.total
        row = {
            "step": self.step,
            "epoch": step // self.steps.an_epoch + 1,
            "loss": running.loss / running.rows,
            "learning_rate": rate_at(self.recipe, step, total),
            **({"momentum": momentum_at(self.recipe, step, total)} if self._has_momentum else {}),
            "tpr": running.tpr,
            "tnr": running.tnr,
            "images_per_second": speed,
            **({} if score is None else {"valid_aupr_error": score}),
        }
        if history is not None:
            history.write(row)
        running.loss, running.rows = 0.0, 0

    def _save(self) -> None:
        for name, tensor in self.net.state_dict().items():
            if not tensor.isfinite().all():
                raise SteepslopeError(
                    f"{self.out}: after step {self.step}: {name} is not finite: a lower learning rate or --clip may "
                    "help; what was saved before stays"
                )
        best = self.best if math.isfinite(self.best) else None
        about = {"key": self.task.key, "step": self.step, "best": best, "running": asdict(self.running),
                 "precision": self.fabric.strategy.precision.state_dict()}  # fmt: skip
        with together(self.fabric):
            if self.fabric.is_global_zero:
                save_state(self.out / STATE, self.net.state_dict(), self.optimizer, about)

    def finish(self) -> None:
        """Write the oracle that the recipe selects, with the last one beside it where that is another."""
        net = self.net.cpu().eval()
        oracle = replace(self.task.oracle, net=net)
        if self.recipe.select == "aupr_error" and (self.out / BEST).exists():
            oracle.save(self.out / LAST, self.task.key)
            load_weights(net, self.out / BEST)
        oracle.save(self.out, self.task.key)
        _remove_states(self.out)


def _remove_states(out: Path) -> None:
    for name in (STATE, BEST):
        (out / name).unlink(missing_ok=True)


def _paths(net: nn.Module) -> list[nn.Module]:
    """Return the layers that leave out whole paths at random: timm's and torchvision's."""
    return [layer for layer in net.modules() if isinstance(layer, DropPath | StochasticDepth)]


def validation_score(trust_logit: NDArray[np.float64], is_correct: NDArray[np.bool_]) -> float:
    """Return the AUPR-Error, −inf where no prediction is wrong or none correct."""
    try:
        return float(aupr_error(trust_logit, is_correct))
    except UndefinedMetricError:
        return -math.inf


def freeze(net: ImageOracleNet, recipe: Finetuning) -> None:
    """Freeze the backbone where the recipe trains the head alone."""
    for parameter in net.backbone.parameters():
        parameter.requires_grad_(parameter.requires_grad and recipe.trainable == "all")


def optimizer_of(recipe: Finetuning, learner: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimizer of what can be trained."""
    parameters = [parameter for parameter in learner.parameters() if parameter.requires_grad]
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(parameters, rate, recipe.momentum, weight_decay=decay)
    kind = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, rate, weight_decay=decay)


def _takes_channels_last(net: ImageOracleNet, oracle: ImageOracle) -> bool:
    images = torch.zeros((2, oracle.transform.channels, *net.size), device=next(net.parameters()).device)
    return takes_channels_last(net.backbone, net, images)
