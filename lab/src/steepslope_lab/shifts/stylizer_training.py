"""Train a stylizer's decoder on a frozen encoder; killed at any moment, it resumes to the same weights.

The losses are those of Huang & Belongie (2017), Eqs. 11 to 13. Their VGG-19 is scaled so that activations are about one
on average; other nets are not, so each squared error is taken relative to the mean square of the maps at its depth.
A reconstruction term is added: AdaIN alone never shows the decoder the content's own maps, which alpha = 0 decodes.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from steepslope.errors import SteepslopeError
from steepslope.files import MADE, Notice, bar, silent
from steepslope.nets import save_training_state, seeded, take_up_state
from steepslope.nets.classifiers import Classifier
from steepslope.nets.data import Dataset
from steepslope.numerics import warm_cosine_rate
from steepslope_lab.shifts.options import StylizerTraining
from steepslope_lab.shifts.pixels import content_reader, cut_square, device_at_hand, style_reader
from steepslope_lab.shifts.stylizer import STATE, STYLIZER, Stylizer, adain, channel_moments, planned_decoder
from steepslope_lab.shifts.stylizer_encoder import encoder_of

MEMORY = 0.99  # of the moving average of the losses
LEARNING_RATE = 1e-3  # the highest, of Adam; it rises in the first tenth of the steps and then falls along a cosine
WEIGHTS = {"content": 1.0, "style": 10.0, "reconstruction": 10.0}  # of the losses
SAVE_EVERY = 500  # steps after which the state of an unfinished training is saved


def train_stylizer(
    backbone: Classifier,
    content: Dataset,
    styles: Dataset,
    out: str | Path,
    options: StylizerTraining,
    notice: Notice = silent,
) -> Stylizer:
    """Train a decoder on the first layers of a backbone, and save both in a folder as a stylizer.

    Parameters
    ----------
    backbone
        A convolutional net of timm or torchvision; see :func:`steepslope_lab.shifts.stylizer_encoder.encoder_of`.
    content, styles
        Images of any size; styles at least as large as the crop.
    out
        The folder. A stylizer that was trained in the same way is found complete there, of which ``notice`` is told.
    options
        How to train.

    Returns
    -------
    Stylizer
        On the CPU. The same options, images and machine give the same weights, also after an interruption.

    Raises
    ------
    SteepslopeError
        If the backbone has no maps of the reduction, an image cannot be read, a style is too small, the loss becomes
        NaN, or the folder holds another stylizer.
    """
    folder = Path(out)
    for name, data in (("content", content), ("styles", styles)):
        if not len(data):
            raise SteepslopeError("expected images, found none", name)
    images = {"content": content.fingerprint(), "styles": styles.fingerprint()}
    made = {"encoder": backbone.spec, "encoder_digest": backbone.digest, **images, **asdict(options)}
    with STYLIZER.making(folder, made, notice=notice) as complete:
        return (
            Stylizer.load(folder) if complete else _trained_stylizer(backbone, content, styles, folder, options, made)
        )


def _trained_stylizer(
    backbone: Classifier,
    content: Dataset,
    styles: Dataset,
    folder: Path,
    options: StylizerTraining,
    made: dict[str, Any],
) -> Stylizer:
    """Train, or go on with a killed training, and save the stylizer."""
    encoder = encoder_of(backbone, options.reduction)
    with seeded(options.seed):
        stylizer = Stylizer(encoder, planned_decoder(options.reduction, options.width))
    pairs = _pairs_of_images(content, styles, options)
    # convolutions are faster with the channels last, on CPUs and on GPUs
    stylizer.to(device_at_hand()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    run = _StylizerRun(stylizer, options)
    STYLIZER.begin(folder, made)  # after all that may be refused at once
    run.resume(folder / STATE)
    run.train(pairs, folder / STATE)
    stylizer.training_facts = {MADE: made, "losses": run.losses}
    stylizer.eval().cpu().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    stylizer.save(folder)
    STYLIZER.end(folder)
    return stylizer


def stylizer_losses(stylizer: Stylizer, content: Tensor, styles: Tensor) -> dict[str, Tensor]:
    """Return the content, style and reconstruction losses of a batch of pairs, without their weights.

    Parameters
    ----------
    stylizer
        The encoder and the decoder.
    content, styles
        RGB images in [0, 1], floats (n, 3, H, W), whose sides are multiples of the reduction.

    Returns
    -------
    dict of Tensor
        ``content``: the output's deepest maps against the AdaIN target (Eq. 12 of the paper); ``style``: means and
        deviations at all depths against those of the style (Eq. 13), both relative to the mean square of the style's
        maps; ``reconstruction``: the squared error of pixels in [0, 1] where the content's own maps are decoded.
    """
    with torch.no_grad():
        of_content = stylizer.encode(content)[-1]
        of_styles = stylizer.encode(styles)
        target = adain(of_content, of_styles[-1])
    output, rebuilt = stylizer.decode(torch.cat([target, of_content])).chunk(2)
    of_output = stylizer.encode(output)
    scales = [maps.square().mean() + 1e-12 for maps in of_styles]
    differences = [
        sum(mse_loss(found, wanted) for found, wanted in zip(channel_moments(one), channel_moments(other), strict=True))
        / scale
        for one, other, scale in zip(of_output, of_styles, scales, strict=True)
    ]
    return {
        "content": mse_loss(of_output[-1], target) / scales[-1],
        "style": torch.stack(differences).sum(),
        "reconstruction": mse_loss(rebuilt, content),
    }


@dataclass
class _StylizerRun:
    """A training under way: the stylizer, the optimizer, the steps that are done and the losses' moving averages."""

    stylizer: Stylizer
    options: StylizerTraining
    done: int = 0
    losses: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.optimizer = torch.optim.Adam(self.stylizer.decoder.parameters(), LEARNING_RATE)

    def train(self, pairs: Callable[[int], list[Tensor]], state: Path) -> None:
        steps, device = self.options.steps, self.stylizer.encoder.mean.device
        with bar("training", steps, self.done) as progress:
            while self.done < steps:
                batches = (one.to(device, memory_format=torch.channels_last) for one in pairs(self.done))
                self._step(*batches)
                self.done += 1
                shown = ", ".join(f"{name} {value:.3g}" for name, value in self.losses.items())
                progress.set_postfix_str(f"losses: {shown}", refresh=False)
                progress.update()
                if self.done % SAVE_EVERY == 0 or self.done == steps:
                    self._save(state)

    def _step(self, content: Tensor, styles: Tensor) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = LEARNING_RATE * warm_cosine_rate((self.done + 0.5) / self.options.steps)
        losses = stylizer_losses(self.stylizer, content, styles)
        self.optimizer.zero_grad()
        sum(weight * losses[name] for name, weight in WEIGHTS.items()).backward()  # type: ignore
        self.optimizer.step()
        for name, loss in losses.items():
            value = float(loss.detach())
            self.losses[name] = MEMORY * self.losses.get(name, value) + (1 - MEMORY) * value

    def _save(self, state: Path) -> None:
        if not all(bool(weight.isfinite().all()) for weight in self.stylizer.decoder.parameters()):
            raise SteepslopeError("the loss became NaN: a larger batch_size may help")
        about = {"steps": self.done, "losses": self.losses}
        save_training_state(state, self.stylizer.decoder.state_dict(), self.optimizer, about)

    def resume(self, path: Path) -> None:
        """Take up an unfinished training; without one that can be read, start again."""
        with suppress(SteepslopeError):
            if (about := take_up_state(path, self.stylizer.decoder, self.optimizer)) is not None:
                self.done, self.losses = about["steps"], about["losses"]


def _pairs_of_images(content: Dataset, styles: Dataset, options: StylizerTraining) -> Callable[[int], list[Tensor]]:
    """Return what draws content and styles of a step, (n, 3, crop, crop) in [0, 1] each, by the seed and the step."""
    readers = (content_reader(content, options.crop), len(content)), (style_reader(styles, options.crop), len(styles))

    def drawn(step: int) -> list[Tensor]:
        draw = np.random.default_rng([options.seed, step])
        batches = []
        for read, count in readers:
            rows = draw.integers(count, size=options.batch_size)
            batches.append(torch.stack([cut_square(read(int(row)), options.crop, draw) for row in rows]))
        return batches

    return drawn
