"""Training a classifier: what a killed run leaves, and what a resumed one makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from steepslope.errors import SteepslopeError
from steepslope.nets._seeding import on_threads
from steepslope.nets.classifiers._nets import NETS, STATE
from steepslope.nets.classifiers._options import ClassifierTraining
from steepslope.nets.classifiers._training import _mirrored_images, _turned_images, train_classifier

RECIPE = ClassifierTraining(epochs=3, batch_size=64, flip=True)


def weights_in(folder: Path, recipe: ClassifierTraining = RECIPE) -> bytes:
    """Train to a folder, and return the weights."""
    train_classifier("digits-net", "digits", folder, recipe)
    return (folder / "classifier.safetensors").read_bytes()


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return weights_in(tmp_path_factory.mktemp("trained"))


def test_the_seed_decides_the_weights(weights: bytes, tmp_path: Path) -> None:
    assert weights_in(tmp_path / "same") == weights != weights_in(tmp_path / "other", replace(RECIPE, seed=1))


def test_threads_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradients are sums over threads: on one and two they once led to other weights."""
    one_thread_differs = []
    for threads in (1, 2):
        with on_threads(threads):
            train_classifier("digits-net", "digits", tmp_path / str(threads), replace(RECIPE, epochs=1))
            assert torch.get_num_threads() == threads
            monkeypatch.setitem(NETS, "digits-net", replace(NETS["digits-net"], threads=threads))
            train_classifier("digits-net", "digits", tmp_path / f"own{threads}", replace(RECIPE, epochs=1))
            monkeypatch.undo()
        files = [tmp_path / name / "classifier.safetensors" for name in (str(threads), "1", f"own{threads}")]
        assert files[0].read_bytes() == files[1].read_bytes()
        one_thread_differs.append(files[2].read_bytes() != files[1].read_bytes())
    assert not one_thread_differs[0]
    if not any(one_thread_differs):
        pytest.skip("on this machine sums do not depend on the number of threads, so that nothing was shown")
    assert one_thread_differs == [False, True]  # so that the above could have failed


def test_another_recipe_and_an_unreadable_state_start_anew(
    weights: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("steepslope.nets.classifiers._training.save_checkpoint", _stop)
        with pytest.raises(KeyboardInterrupt):
            train_classifier("digits-net", "digits", tmp_path, replace(RECIPE, seed=1))
    assert (tmp_path / STATE).exists()
    assert weights_in(tmp_path) == weights
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / STATE).write_bytes(b"not a state")
    assert weights_in(tmp_path / "a") == weights


def test_a_diverging_run_keeps_the_earlier_checkpoint(tmp_path: Path) -> None:
    before = weights_in(tmp_path, replace(RECIPE, epochs=1))
    with pytest.raises(SteepslopeError, match="the loss became NaN"):
        train_classifier("digits-net", "digits", tmp_path, replace(RECIPE, learning_rate=1e30))
    assert (tmp_path / "classifier.safetensors").read_bytes() == before


def test_mirroring_flips_about_half() -> None:
    torch.manual_seed(0)
    images = torch.arange(3.0).expand(1000, 1, 1, 3)
    flipped = (_mirrored_images(images)[:, 0, 0, 0] == 2).double().mean().item()
    assert flipped == pytest.approx(0.5, abs=0.05)


def test_bad_recipes_are_named(tmp_path: Path) -> None:
    with pytest.raises(SteepslopeError, match="did you mean 'digits-net'"):
        train_classifier("digit-net", "digits", tmp_path, RECIPE)
    with pytest.raises(SteepslopeError, match="mnist-net expects grey images of 28×28 pixels"):
        train_classifier("mnist-net", "digits", tmp_path, RECIPE)
    with pytest.raises(SteepslopeError, match="not on the test split"):
        train_classifier("digits-net", "digits:test", tmp_path, RECIPE)


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


def test_turned_images_keep_their_middle_and_get_black_corners() -> None:
    images = torch.full((200, 1, 9, 9), 2.0)
    torch.manual_seed(0)
    once = _turned_images(images, 45, outside=-1.0)
    assert (once[:, 0, 4, 4] - 2).abs().max() < 1e-5
    assert once.min() == pytest.approx(-1, abs=1e-5)
    assert len({image.numpy().tobytes() for image in once}) == 200
    torch.testing.assert_close(_turned_images(images, 1e-6, outside=-1.0), images, rtol=0, atol=1e-4)


def test_the_papers_recipe_is_another_training(tmp_path: Path) -> None:
    paper = replace(RECIPE, optimizer="sgd", schedule="constant", weight_decay=5e-4, rotate=15, learning_rate=1e-2)
    _, accuracy = train_classifier("digits-net", "digits", tmp_path / "paper", replace(paper, epochs=8))
    assert accuracy > 0.5
