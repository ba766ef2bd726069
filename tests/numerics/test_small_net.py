"""The small net: how many steps it takes, over which rows, and what its weights mean."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from steepslope.numerics import _small_net as small_net
from steepslope.numerics._linear import standardised
from steepslope.numerics._small_net import fit_small_net, small_net_logits

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
    whole = small_net._SmallNet.step

    def counted(self: small_net._SmallNet, *given: Any) -> None:
        taken.append(1)
        whole(self, *given)

    monkeypatch.setattr(small_net, "MOST_PRODUCTS", 7000 * 256)
    monkeypatch.setattr(small_net._SmallNet, "step", counted)
    columns, labels = ring(n)
    fit_small_net(columns, labels, 2, width)
    assert len(taken) == steps


def test_steps_are_those_of_pytorch() -> None:
    """Gradients are those of autograd, and steps those of its AdamW."""
    net = small_net._SmallNet(2, 16, 2, 0.0)
    weights = [torch.from_numpy(layer.copy()).requires_grad_() for layer in net.layers]
    optimizer = torch.optim.AdamW(weights, weight_decay=small_net.DECAY)
    for step, rate in enumerate((0.1, 0.2, 0.05)):
        columns, labels = ring(40, step)
        net.step(standardised(columns).columns, np.arange(40), labels, rate)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.zero_grad()
        rows = torch.from_numpy(standardised(columns).columns)
        logits = (rows @ weights[0] + weights[1]).relu() @ weights[2] + weights[3]
        torch.nn.functional.cross_entropy(logits, torch.from_numpy(labels)).backward()  # type: ignore[no-untyped-call]
        for ours, theirs in zip(net.slopes, weights, strict=True):
            assert theirs.grad is not None
            np.testing.assert_allclose(ours, theirs.grad.numpy(), atol=1e-6)
        optimizer.step()
        for ours, theirs in zip(net.layers, weights, strict=True):
            np.testing.assert_allclose(ours, theirs.detach().numpy(), atol=2e-5)


def test_a_part_of_all_values_is_dropped_and_the_rest_makes_up_for_it() -> None:
    net, ones = small_net._SmallNet(500, 4, 2, 0.3), np.ones((2, 200, 500), np.float32)
    for some in ones:
        net._draw_factors()
        net._drop(some)
    assert (ones == 0).mean() == pytest.approx(0.3, abs=0.01)
    assert ones.mean() == pytest.approx(1, abs=0.01)
    assert len(np.unique(ones)) == 2
    assert np.asarray(np.corrcoef(ones.reshape(2, -1)))[0, 1] == pytest.approx(0, abs=0.02)


def test_steps_drop_other_values_as_time_goes_on() -> None:
    net = small_net._SmallNet(6, 4, 2, 0.3)
    drawn = []
    for _ in range(2 * small_net.DROPS):
        net.step(np.ones((10, 6), np.float32), np.arange(10), np.zeros(10, np.int64), 1e-3)
        drawn.append(net.factors)
    assert len({factors.tobytes() for factors in drawn}) == 2


def test_batches_see_every_row_once_an_epoch() -> None:
    drawn = small_net._SmallNet(2, 4, 2, 0.0).batches(600)
    for _ in range(2):
        epoch = [next(drawn) for _ in range(3)]
        assert [len(rows) for rows in epoch] == [256, 256, 88]
        assert sorted(np.concatenate(epoch).tolist()) == list(range(600))


def test_a_net_on_components_is_one_on_the_columns() -> None:
    """A circle in two of twenty directions, hidden by a rotation and by scales: the net finds it in few components."""
    points, labels = ring(1500)
    rng = np.random.default_rng(1)
    hidden = np.concatenate([(points - [0, 300]) / [1, 50], 0.1 * rng.normal(size=(1500, 18))], axis=1)
    columns = (hidden @ np.linalg.qr(rng.normal(size=(20, 20)))[0] * 7 + 100).astype(np.float32)
    arrays = fit_small_net(standardised(columns, 4), labels, 2, WIDTH)
    assert arrays["inner"].shape == (20, WIDTH)
    found = small_net_logits(columns, arrays).argmax(axis=1)
    assert np.mean(found == labels) > 0.8  # a line finds little more than half


@pytest.fixture(scope="module")
def fitted() -> dict[str, NDArray[np.float32]]:
    return fit_small_net(*ring(1500), 2, WIDTH)


def test_it_learns_what_no_line_can(fitted: dict[str, NDArray[np.float32]]) -> None:
    columns, labels = ring(1000, 1)
    logits = small_net_logits(columns, fitted)
    assert (logits.argmax(axis=1) == labels).mean() > 0.8  # a line reaches 0.5 or so
    assert logits.dtype == np.float64


def test_its_weights_are_for_columns_as_they_are(fitted: dict[str, NDArray[np.float32]]) -> None:
    assert {name: array.shape for name, array in fitted.items()} == {
        "centre": (2,),
        "inner": (2, WIDTH),
        "inner_bias": (WIDTH,),
        "outer": (WIDTH, 2),
        "outer_bias": (2,),
    }
    columns, _ = ring(5, 2)
    found = small_net_logits(columns, fitted)
    for row, logits in zip(columns - fitted["centre"], found, strict=True):
        hidden = [max(0.0, float(row @ fitted["inner"][:, unit] + fitted["inner_bias"][unit])) for unit in range(WIDTH)]
        for label in range(2):
            total = sum(value * float(weight) for value, weight in zip(hidden, fitted["outer"][:, label], strict=True))
            assert logits[label] == pytest.approx(total + float(fitted["outer_bias"][label]), abs=1e-6)


def test_the_same_rows_give_the_same_net(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_net, "LEAST_STEPS", 20)
    columns, labels = ring(300)
    first = fit_small_net(columns, labels, 2, WIDTH)
    again = fit_small_net(columns, labels, 2, WIDTH)
    for name, array in first.items():
        np.testing.assert_array_equal(again[name], array)


def test_a_class_without_rows_becomes_improbable() -> None:
    columns, labels = ring(300)
    logits = small_net_logits(columns, fit_small_net(columns, labels, 3, WIDTH))
    assert (logits.argmax(axis=1) < 2).all()


def test_wide_and_without_dropout_where_rows_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(small_net, "LEAST_STEPS", 5)
    monkeypatch.setattr(small_net, "EPOCHS", 1)
    columns, labels = ring(600)
    kept: list[float] = []
    plain = small_net._SmallNet.step

    def noted(self: small_net._SmallNet, *given: Any) -> None:
        kept.append(self.kept)
        plain(self, *given)

    monkeypatch.setattr(small_net._SmallNet, "step", noted)
    few = fit_small_net(columns, labels, 2, 400)
    monkeypatch.setattr(small_net, "MANY_ROWS", 600)
    many, chosen = fit_small_net(columns, labels, 2, 400), fit_small_net(columns, labels, 2, 400, 0.1)
    assert [one["inner"].shape[1] for one in (few, many, chosen)] == [256, 400, 400]
    assert [kept[0], kept[5], kept[-1]] == pytest.approx([0.7, 1, 0.9])
