"""The small net: how many steps it takes, over which rows, and what its weights mean."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from steepslope.numerics import small_net
from steepslope.numerics.linear import standardised
from steepslope.numerics.small_net import fit_small_net, small_net_logits

WIDTH = 256


def ring(n: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Make two classes that no line tells apart: inside and outside of a circle, in columns of different scales."""
    rng = np.random.default_rng(seed)
    points = rng.normal(size=(n, 2))
    labels = (np.linalg.norm(points, axis=1) > 1.18).astype(np.int64)
    return (points * [1, 50] + [0, 300]).astype(np.float32), labels


@pytest.mark.parametrize(
    ("n", "width", "steps"),
    [
        (100, 2, 300),  # 16 epochs of one batch would be 16 steps
        (256 * 25, 2, 400),
        (256 * 25 + 1, 2, 416),  # a last batch of one row is a step too
        (256 * 25, 5, 350),  # 20 weights where 7,000 products of a weight and a batch are the most
    ],
)
def test_sixteen_epochs_within_limits(n: int, width: int, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    whole = small_net._AdamW.step

    def counted(self: small_net._AdamW, loss: torch.Tensor, rate: float) -> None:
        taken.append(1)
        whole(self, loss, rate)

    monkeypatch.setattr(small_net, "MOST_PRODUCTS", 7000 * 256)
    monkeypatch.setattr(small_net._AdamW, "step", counted)
    columns, labels = ring(n)
    fit_small_net(columns, labels, 2, width)
    assert len(taken) == steps


def test_steps_are_those_of_pytorch_s_adamw() -> None:
    """The kernel is the same, so that weights are equal to the bit."""
    starts = [torch.randn(3, 2, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    ours, theirs = ([start.clone().requires_grad_() for start in starts] for _ in range(2))
    adam = small_net._AdamW([*ours])
    optimizer = torch.optim.AdamW(theirs, weight_decay=small_net.DECAY, fused=True)
    for rate in (0.1, 0.2, 0.05):
        adam.step((ours[0] * ours[1]).square().sum(), rate)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        (theirs[0] * theirs[1]).square().sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    for a, b in zip(ours, theirs, strict=True):
        assert a.equal(b)


def test_batches_see_every_row_once_an_epoch() -> None:
    torch.manual_seed(0)
    drawn = small_net._batches_for_small_net(600)
    for _ in range(2):
        epoch = [next(drawn) for _ in range(3)]
        assert [len(rows) for rows in epoch] == [256, 256, 88]
        assert torch.cat(epoch).sort().values.tolist() == list(range(600))


def test_a_net_on_components_is_one_on_the_columns() -> None:
    """A circle in two of twenty directions, hidden by a rotation and by scales: the net finds it in few components."""
    points, labels = ring(1500)
    rng = np.random.default_rng(1)
    hidden = np.concatenate([(points - [0, 300]) / [1, 50], 0.1 * rng.normal(size=(1500, 18))], axis=1)
    columns = (hidden @ np.linalg.qr(rng.normal(size=(20, 20)))[0] * 7 + 100).astype(np.float32)
    arrays = fit_small_net(standardised(columns, 4), labels, 2, WIDTH)
    assert arrays["inner"].shape == (20, WIDTH)
    found = small_net_logits(torch.from_numpy(columns), arrays).argmax(dim=1).numpy()
    assert np.mean(found == labels) > 0.8  # a line finds little more than half


@pytest.fixture(scope="module")
def fitted() -> dict[str, NDArray[np.float32]]:
    return fit_small_net(*ring(1500), 2, WIDTH)


def test_it_learns_what_no_line_can(fitted: dict[str, NDArray[np.float32]]) -> None:
    columns, labels = ring(1000, 1)
    logits = small_net_logits(torch.from_numpy(columns), fitted).numpy()
    assert (logits.argmax(axis=1) == labels).mean() > 0.8  # a line reaches 0.5 or so
    assert logits.dtype == np.float64


def test_its_weights_are_for_columns_as_they_are(fitted: dict[str, NDArray[np.float32]]) -> None:
    assert {name: array.shape for name, array in fitted.items()} == {
        "inner": (2, WIDTH),
        "inner_bias": (WIDTH,),
        "outer": (WIDTH, 2),
        "outer_bias": (2,),
    }
    columns, _ = ring(5, 2)
    found = small_net_logits(torch.from_numpy(columns), fitted).numpy()
    for row, logits in zip(columns.astype(np.float64), found, strict=True):
        hidden = [max(0.0, float(row @ fitted["inner"][:, unit] + fitted["inner_bias"][unit])) for unit in range(WIDTH)]
        for label in range(2):
            total = sum(value * float(weight) for value, weight in zip(hidden, fitted["outer"][:, label], strict=True))
            assert logits[label] == pytest.approx(total + float(fitted["outer_bias"][label]), abs=1e-6)


def test_the_same_rows_give_the_same_net_whatever_was_drawn_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_net, "LEAST_STEPS", 20)
    columns, labels = ring(300)
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = fit_small_net(columns, labels, 2, WIDTH)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    again = fit_small_net(columns, labels, 2, WIDTH)
    for name, array in first.items():
        np.testing.assert_array_equal(again[name], array)


def test_a_class_without_rows_becomes_improbable() -> None:
    columns, labels = ring(300)
    logits = small_net_logits(torch.from_numpy(columns), fit_small_net(columns, labels, 3, WIDTH)).numpy()
    assert (logits.argmax(axis=1) < 2).all()


def test_wide_and_without_dropout_where_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_net, "LEAST_STEPS", 5)
    monkeypatch.setattr(small_net, "EPOCHS", 1)
    columns, labels = ring(600)
    dropped: list[float] = []
    plain = torch.nn.Dropout.__init__

    def noted(self: Any, p: float = 0.5, *given: Any) -> None:
        dropped.append(p)
        plain(self, p, *given)

    monkeypatch.setattr(torch.nn.Dropout, "__init__", noted)
    few = fit_small_net(columns, labels, 2, 400)
    monkeypatch.setattr(small_net, "MANY_ROWS", 600)
    many, chosen = fit_small_net(columns, labels, 2, 400), fit_small_net(columns, labels, 2, 400, 0.1)
    assert [one["inner"].shape[1] for one in (few, many, chosen)] == [256, 400, 400]
    assert dropped == [0.3, 0.3, 0, 0, 0.1, 0.1]
