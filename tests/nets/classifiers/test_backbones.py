"""timm's, torchvision's and one's own nets as classifiers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.classifiers._backbones import _load_backbone_weights
from steepslope.nets.classifiers._specs import load_classifier
from steepslope.nets.data._transforms import Transform
from steepslope.nets.extraction._engine import dropout_layers
from steepslope.outputs import ClassifierOutputs
from tests.images import EFFICIENTNET, extract_folder, extracted, folder_of
from tests.tiny_nets import COLOUR, squeezed, tiny, tiny_convolutions


def test_real_weights_know_real_photos(tmp_path: Path) -> None:
    """scikit-image's photos in ImageNet's folders: tiger cat, missile and espresso."""
    photos = {"n02123159": skimage.data.cat(), "n03773504": skimage.data.rocket(), "n07920052": skimage.data.coffee()}
    for name, pixels in photos.items():
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / name / "photo.jpg", quality=95)
    words = ["extract", "--classifier", EFFICIENTNET, "--data", f"imagefolder:{tmp_path / 'photos'}"]
    assert main([*words, "--mean", "0.5", "--std", "0.5", "--backend", "torch", "--out", str(tmp_path / "out")]) == 0
    outputs = ClassifierOutputs.load(tmp_path / "out")
    assert outputs.is_correct.all()
    assert outputs.require_features().shape == (3, 1280)
    assert outputs.num_classes == 1000


@pytest.mark.parametrize(
    ("spec", "width"), [("timm:vit_tiny_patch16_224?weights=random", 192), ("torchvision:resnet18?weights=random", 512)]
)
def test_backbones_give_features_and_logits(spec: str, width: int) -> None:
    classifier = load_classifier(spec)
    image = Image.fromarray(skimage.data.astronaut())
    features, logits = classifier(torch.stack([classifier.transform(image)] * 2))
    assert np.asarray(features).shape == (2, width)
    assert logits.shape == (2, 1000)
    assert (classifier.classes or {})["n01440764"] == 0


def test_ones_own_module_gives_what_goes_into_its_last_layer(tmp_path: Path) -> None:
    data = folder_of(tmp_path / "data", 4)
    assert extract_folder(data, tmp_path / "out") == 0
    outputs = ClassifierOutputs.load(tmp_path / "out")
    assert outputs.require_labels().tolist() == [0] * 4 + [1] * 4 + [2] * 4
    module = tiny()
    images = torch.stack([COLOUR(Image.open(data / name)) for name in outputs.ids])  # type: ignore[union-attr]
    np.testing.assert_allclose(outputs.logits, module(images).detach(), atol=1e-6)
    features = module.body[:3](images).detach()  # type: ignore[index,operator]
    np.testing.assert_allclose(outputs.require_features(), features, atol=1e-6)


@pytest.mark.parametrize(("net", "channels"), [("grey", 1), ("tiny_convolutions", 3), ("six_channels", 6)])
def test_channels_are_those_of_the_first_convolution(net: str, channels: int) -> None:
    classifier = load_classifier(f"module:tests.tiny_nets:{net}").with_transform(8, 0.5, 0.25)
    assert (classifier.transform.channels, classifier.num_classes) == (channels, 3)
    assert classifier.with_transform(mean=[0.1] * channels).transform.mean == (0.1,) * channels


def test_channels_that_no_layer_shows_are_given() -> None:
    """By their number, or by as many means; where nothing tells, they are taken for three, if the net runs on those."""
    net = load_classifier("module:tests.tiny_nets:flat_grey")
    assert net.with_transform(8, 0.5, 0.25, channels=1).transform == Transform((8, 8), (0.5,), (0.25,))
    colour = load_classifier("module:tests.tiny_nets:Backwards")
    assert colour.with_transform(16, 0.5, 0.25).transform.channels == 3
    assert colour.with_transform(16, (0.1, 0.2, 0.3), 0.25).transform.std == (0.25,) * 3


def test_preprocessing_stands_in_place_of_all_others() -> None:
    given = Transform((16, 16), (0.5,) * 3, (0.1, 0.2, 0.3), "squash", 0.9, "bilinear")
    net = load_classifier("module:tests.tiny_nets:tiny_convolutions")
    assert net.with_transform(preprocessing=given).transform == given
    with pytest.raises(SteepslopeError, match="--image-size: expected none with --preprocessing"):
        net.with_transform(16, preprocessing=given)


def test_ones_own_module_may_name_its_classes() -> None:
    assert load_classifier("module:tests.tiny_nets:Named").classes == {"cow": 0, "ant": 1, "bee": 2}
    assert load_classifier("module:tests.tiny_nets:tiny").classes is None


def test_a_convolution_may_be_the_last_layer(tmp_path: Path) -> None:
    """What it sees, averaged over the places; not what a linear layer saw before."""
    classifier = load_classifier("torchvision:squeezenet1_1?weights=random").with_transform(image_size=64)
    features, _ = classifier(classifier.noise(2))
    before = classifier.net.model.features(classifier.noise(2)).mean(dim=(2, 3))  # type: ignore[union-attr,operator]
    np.testing.assert_allclose(np.asarray(features), before.detach(), atol=1e-5)
    own = load_classifier("module:tests.tiny_nets:squeezed").with_transform(16, 0.5, 0.25)
    features, _ = own(own.noise(2))
    pooled = squeezed().maps(own.noise(2)).mean(dim=(2, 3))
    np.testing.assert_allclose(np.asarray(features), pooled.detach().numpy(), atol=1e-6)
    outputs = extracted("module:tests.tiny_nets:squeezed", folder_of(tmp_path / "data", 4), tmp_path / "out")
    assert outputs.require_features().shape == (12, 6)


def test_timm_models_get_dropout_by_rate() -> None:
    """And one of another rate is another classifier."""
    rates = ("", "&dropout=0.1", "&dropout=0.1", "&dropout=0.9")
    nets = [load_classifier(f"timm:resnet10t?weights=random{rate}") for rate in rates]
    assert [bool(dropout_layers(net.net)) for net in nets] == [False, True, True, True]
    assert nets[1].digest == nets[2].digest
    assert len({net.digest for net in nets}) == 3


def test_a_file_of_weights_needs_a_normalisation(tmp_path: Path) -> None:
    """It may be another than timm's: neither is taken in silence."""
    state = load_classifier("timm:resnet10t?weights=random").net.model.state_dict()  # type: ignore[union-attr]
    torch.save(state, tmp_path / "own.pth")
    spec = f"timm:resnet10t?weights={tmp_path / 'own.pth'}"
    with pytest.raises(SteepslopeError, match="--std: have to be given, since a file of weights"):
        load_classifier(spec).with_transform()
    assert load_classifier(spec).with_transform(mean=0.5, std=0.25).transform.std == (0.25,) * 3
    own = load_classifier(f"{spec}&mean=0.5&std=0.1,0.2,0.3").with_transform().transform
    assert (own.mean, own.std) == ((0.5,) * 3, (0.1, 0.2, 0.3))
    usual = load_classifier(f"{spec}&mean=imagenet&std=imagenet").with_transform().transform
    assert usual == load_classifier("timm:resnet10t?weights=random").with_transform().transform


@pytest.mark.parametrize("text", ["0.5,0.5", "half", "-1", "nan"])
def test_a_normalisation_that_is_none_is_named(text: str) -> None:
    with pytest.raises(SteepslopeError, match="mean: expected a number, 3 with commas between them, or imagenet"):
        load_classifier(f"timm:resnet10t?weights=random&mean={text}")


def test_weights_that_do_not_fit_are_named(tmp_path: Path) -> None:
    """One line names the first weight that differs; weights under other names fit by their shapes and order."""
    path, spec = tmp_path / "weights.pth", f"timm:resnet10t?weights={tmp_path / 'weights.pth'}"
    state = load_classifier("timm:resnet10t?weights=random").net.model.state_dict()  # type: ignore[union-attr]
    torch.save({f"net.{name}": weight for name, weight in state.items()}, path)
    assert load_classifier(spec).digest == load_classifier("timm:resnet10t?weights=random").digest
    torch.save(state | {"fc.bias": torch.zeros(3)}, path)
    with pytest.raises(SteepslopeError) as error:
        load_classifier(spec)
    assert str(error.value) == f"{path}: expected weights of this architecture: fc.bias: (1000,), found (3,)"
    torch.save(state | {"extra": torch.zeros(3)}, path)
    with pytest.raises(SteepslopeError, match=r"architecture: extra: none, found \(3,\)"):
        load_classifier(spec)
    torch.save(state | {"epoch": 3}, path)
    with pytest.raises(SteepslopeError, match="architecture: epoch: none, found int"):
        load_classifier(spec)


def other_weights() -> dict[str, torch.Tensor]:
    """Return weights of `tests.tiny_nets:tiny_convolutions` that are not those of its factory."""
    draw = torch.Generator().manual_seed(1)
    return {name: torch.randn(one.shape, generator=draw) for name, one in tiny_convolutions().state_dict().items()}


@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_ones_own_module_takes_a_file_of_weights(suffix: str, tmp_path: Path) -> None:
    path, state, net = tmp_path / f"own.{suffix}", other_weights(), tiny_convolutions().eval()
    save_file(state, path) if suffix == "safetensors" else torch.save({"epoch": 3, "state_dict": state}, path)
    net.load_state_dict(state)
    own = "module:tests.tiny_nets:tiny_convolutions"
    classifier = load_classifier(f"{own}?weights={path}&mean=imagenet&std=0.1,0.2,0.3").with_transform(16)
    assert classifier.transform.mean == (0.485, 0.456, 0.406)
    assert classifier.transform.std == (0.1, 0.2, 0.3)
    np.testing.assert_allclose(classifier(classifier.noise(2))[1], net(classifier.noise(2)).detach(), atol=1e-6)
    assert classifier.spec == own  # an oracle on it brings weights of its own
    assert classifier.digest != load_classifier(own).digest


def test_names_of_parallel_training_are_those_of_the_net(tmp_path: Path) -> None:
    """In any order: two layers of one shape would be mixed up by theirs."""
    path = tmp_path / "parallel.pt"
    net = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Linear(4, 4))
    turned = {f"module.{name}": weight + 1 for name, weight in reversed(net.state_dict().items())}
    torch.save({name: weight for name, weight in turned.items() if "num_batches" not in name}, path)  # as before 0.4.1
    wanted = {name: weight + ("num_batches" not in name) for name, weight in net.state_dict().items()}
    _load_backbone_weights(net, path)
    torch.testing.assert_close(net.state_dict(), wanted)


class Runs:
    """What runs code when it is read by pickle."""

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (Path("touched"),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, r"cannot be read as weights \(.*No such file"),
        (b"weights", "cannot be read as weights"),
        ({"last.weight": Runs()}, "cannot be read as weights"),
        ([torch.zeros(3)], "cannot be read as weights"),
        ({"last.bias": torch.zeros(3)}, r"weights of this architecture: body.0.weight: \(8, 3, 3, 3\), found none"),
    ],
)
def test_files_that_are_no_weights_of_ones_own_net_are_one_line(
    content: object, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if isinstance(content, bytes):
        Path("own.pt").write_bytes(content)
    elif content is not None:
        torch.save(content, "own.pt")
    with pytest.raises(SteepslopeError) as error:
        load_classifier("module:tests.tiny_nets:tiny_convolutions?weights=own.pt")
    assert re.match(f"own.pt: .*{message}", str(error.value))
    assert "\n" not in str(error.value)
    assert not Path("touched").exists()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "tests.tiny_nets:tiny?weight=own.pt",
            "unknown option of 'tests.tiny_nets:tiny[?]weight=own.pt'.*did you mean 'weights'",
        ),
        ("tests.tiny_nets:grey?mean=imagenet", "mean: expected a number, found 'imagenet'"),
        ("tests.tiny_nets:six_channels?std=1,2", "std: expected a number, or 6 with commas between them, found '1,2'"),
    ],
)
def test_options_of_ones_own_module_that_are_none_are_named(spec: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        load_classifier(f"module:{spec}")
