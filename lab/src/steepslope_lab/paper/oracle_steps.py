"""The steps to oracles: trained on images as in the paper, fitted on features, fused; and the sweep of their slopes."""

import math
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from steepslope.errors import SteepslopeError, listed, located
from steepslope.files import digest_of, staged_folder, write_json
from steepslope.nets.training import FinetuneRequest, ImageOracle, train_stages
from steepslope.oracle import CARD, Budget, Oracle, loss_of_settings
from steepslope_lab.paper.output_steps import fit_rows_step, net_steps, output_steps
from steepslope_lab.paper.preset import Pair
from steepslope_lab.paper.steps import Settings, Step, folder_slug, settings_in_words
from steepslope_lab.paper.workspace import AUXILIARY, COPIES, HOLDOUT, TRAIN, Case, Workspace
from steepslope_lab.search import search
from steepslope_lab.shifts.pixels import device_at_hand

SEARCH = "search.json"
FROZEN = 1.0  # α⁺ while α⁻ is searched
SWEPT = ("negatives", "positives")  # what a preset's sweep needs


def settings_of_oracle(work: Workspace, pair: Pair, changes: Settings) -> dict[str, Any]:
    """Return all that decides an oracle but nets, data and seed: options of finetune."""
    settings = {**pair.training, **changes}
    for role in ("oracle", "classifier"):
        settings.pop(role, None)
    roles = {"oracle": pair.oracle, "classifier": pair.classifier} if pair.is_live else {"oracle": pair.oracle}
    for role, net in roles.items():
        changes_of_input = work.preset.nets[net].input
        if changes_of_input:
            settings[f"{role}_input"] = _spec_of_input(changes_of_input)
    return settings


def _spec_of_input(changes: Settings) -> str:
    """Return what is changed of a net's input as a spec.

    >>> _spec_of_input({"size": 32, "mean": (0.485, 0.456, 0.406), "std": 0.5})
    'size=32&mean=0.485,0.456,0.406&std=0.5'
    """
    return "&".join(f"{name}={','.join(listed(value, str))}" for name, value in changes.items())


def oracle_step(work: Workspace, pair: Pair, name: str, changes: Settings, seed: int) -> Step:
    """Return the step that trains an oracle on images by a pair's settings, with changes; all stages are one."""
    folder = work.folder("oracles", f"{pair.oracle}-{pair.classifier}", seed) / folder_slug(name)
    settings = settings_of_oracle(work, pair, changes)
    stages = pair.training.get("stages", ())
    with located(f"oracle {pair.title} {name}"):  # a wrong setting ends the run before hours of work
        request = FinetuneRequest.from_flat(**settings, oracle=pair.oracle, outputs=pair.classifier)
        loss_of_settings(request)
    if pair.is_live and (pair.fit_rows or work.preset.nets[pair.classifier].probe):
        raise SteepslopeError("expected neither fit_rows nor a probe where the classifier is run live", pair.title)
    live = f" ({pair.classifier} run live)" if pair.is_live else ""
    about = f"train oracle {pair.title} {name}{live}{_length(work, settings)}: {settings_in_words(settings)}"
    needs = net_steps(work, pair.oracle, seed)
    if pair.is_live:
        needs += net_steps(work, pair.classifier, seed)
    else:
        held_out = [HOLDOUT] if pair.selects else []
        needs += output_steps(work, Case(None, pair.classifier, TRAIN, seed), held_out)
        needs += [fit_rows_step(work, pair.classifier, pair.fit_rows, seed)]
    last = f"{stages[-1]['name']}/{CARD}" if stages else CARD
    run = partial(train_oracle, work, pair=pair, settings=settings, seed=seed)
    return Step(folder, last, about, run, tuple(needs))


def _length(work: Workspace, settings: Settings) -> str:
    """Return how many steps a training takes, where the preset tells the number of images and it has no stages."""
    images = work.preset.train_images
    if images is None or "stages" in settings:
        return ""
    steps = settings["epochs"] * math.ceil(images / settings["batch_size"])
    return f", {steps:,} steps of {settings['batch_size']} images"


def train_oracle(work: Workspace, out: Path, pair: Pair, settings: Settings, seed: int) -> None:
    """Train an oracle on images, or go on with its training."""
    options = {**settings, "oracle": work.spec(pair.oracle, seed), "data": str(work.data)}
    options |= {"seed": seed, "workers": work.workers}
    if pair.is_live:
        options["classifier"] = work.spec(pair.classifier, seed)
    else:
        options["outputs"] = str(fit_rows_step(work, pair.classifier, pair.fit_rows, seed).folder)
    if pair.selects and not pair.is_live:
        options["valid"] = str(work.extracted(pair.classifier, seed, HOLDOUT))
        options["valid_data"] = work.held_out_data  # files of both folders may have the same names
    train_stages(FinetuneRequest.from_flat(**options), out, work.notice)


def features_oracle_step(
    work: Workspace, classifier: str, name: str, settings: Settings, split: str, seed: int
) -> Step:
    """Return the step that fits an oracle on the classifier's own features of a split."""
    folder = work.folder("on-features", classifier, seed) / folder_slug(name)
    about = f"fit oracle on features of {classifier}, {split} rows, {name}: {settings_in_words(settings)}"
    with located(f"oracle on features of {classifier}, {name}"):
        oracle = Oracle(**settings, seed=seed)

    def fit(out: Path) -> None:
        oracle.fit(work.own_outputs(classifier, seed, split)).save(out)

    needs = output_steps(work, Case(None, classifier, split, seed), [split])
    return Step(folder, CARD, about, fit, tuple(needs))


def fused_oracle_step(work: Workspace, classifier: str, budget: Budget, seed: int) -> Step:
    """Return the step that fits the fused oracle of a budget on held-out rows."""
    ends = ("", COPIES) if work.preset.copies else ("",)
    splits = [f"{name}{end}" for name in (HOLDOUT, TRAIN) for end in ends]
    needs = output_steps(work, Case(None, classifier, TRAIN, seed), splits, auxiliary=budget == AUXILIARY)
    copies = ", and an augmented copy of each" if work.preset.copies else ""
    about = f"fit fused oracle of {classifier}, budget {budget}: on held-out rows{copies}"

    def fit(out: Path) -> None:
        held_out, known = (work.to_fit(classifier, seed, split, budget) for split in (HOLDOUT, TRAIN))
        Oracle.fused(seed=seed, budget=budget).fit(held_out, known).save(out)

    return Step(work.folder("fused", classifier, seed) / budget, CARD, about, fit, tuple(needs))


def sweep_step(work: Workspace, pair: Pair, seed: int) -> Step:
    """Return the step that searches the slopes of steep slope in the paper's order: α⁻ with α⁺ frozen, then α⁺."""
    sweep = work.preset.sweep
    folder = work.folder("sweeps", f"{pair.oracle}-{pair.classifier}", seed) / digest_of(sweep)[:8]
    first = [step_of_slopes(work, pair, FROZEN, float(alpha_neg), seed) for alpha_neg in sweep["negatives"]]
    needs = *first, *output_steps(work, Case(None, pair.classifier, HOLDOUT, seed), [HOLDOUT])
    about = f"sweep steep slope of {pair.title} on held-out rows: {settings_in_words(sweep)}"
    return Step(folder, SEARCH, about, partial(sweep_slopes, work, pair=pair, seed=seed), needs)


def step_of_slopes(work: Workspace, pair: Pair, alpha_pos: float, alpha_neg: float, seed: int) -> Step:
    """Return the step that trains the oracle of two slopes."""
    changes = {"loss": "steep_slope", "alpha_pos": alpha_pos, "alpha_neg": alpha_neg}
    return oracle_step(work, pair, f"SS pos {alpha_pos:g} neg {alpha_neg:g}", changes, seed)


def sweep_slopes(work: Workspace, out: Path, pair: Pair, seed: int) -> None:
    """Train an oracle for each pair of slopes, and choose by held-out rows."""
    outputs = work.own_outputs(pair.classifier, seed, HOLDOUT)
    images = work.images(pair.classifier, seed, HOLDOUT)
    device = str(device_at_hand())

    def trust_logit_of(alpha_pos: float, alpha_neg: float) -> NDArray[Any]:
        step = step_of_slopes(work, pair, alpha_pos, alpha_neg, seed)
        if not step.is_complete:
            step.run(step.folder)
        oracle = ImageOracle.load(step.folder, [work.spec(pair.oracle, seed)])
        return oracle.on(images, work.workers, device).trust_logit(outputs)

    sweep = {name: work.preset.sweep[name] for name in SWEPT}
    found = search(trust_logit_of, outputs.is_correct, alpha_pos=FROZEN, **sweep)
    with staged_folder(out, last=SEARCH) as staging:
        write_json(staging / SEARCH, asdict(found))
