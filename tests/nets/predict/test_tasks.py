"""Parts that an actor makes of what is sent to it are those of one machine; no cluster is started here."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from steepslope.cli._main import main
from steepslope.errors import SteepslopeError
from steepslope.nets.data._specs import parse_data
from steepslope.nets.predict._cluster import _Actor, _answers_with_notices, _ChunkAnswer, _ray_tasks
from steepslope.nets.predict._from_images import FromImages, images_to_judge
from steepslope.nets.predict._image_gate import ImageGate
from steepslope.predict._options import PredictOptions
from tests.cli.predictions import BACKBONE
from tests.conftest import require_same_table
from tests.images import digits_below, opened

ROWS, BROKEN = 20, 13
IN_PARTS = PredictOptions(shard_rows=8, batch_size=4)
NAMES = [f"{row % 2}/ü {row:02d}.png" for row in range(ROWS)]


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    home = digits_below(tmp_path_factory.mktemp("photos"), NAMES)
    (home / "all.csv").write_text("\n".join(["path", *NAMES]), encoding="utf-8")
    return home


def images_of(
    gate: Path, spec: str, options: PredictOptions = IN_PARTS, groups: dict[str, str] | None = None, **nets: Any
) -> FromImages:
    image_gate, data = ImageGate.load(gate, **nets), parse_data(spec).look()
    return FromImages(image_gate, images_to_judge(image_gate, data), str(data), options, groups)


def sent(images: FromImages) -> list[_ChunkAnswer]:
    """Return what an actor makes of all parts, sent one by one, the last first."""
    actor = _Actor(unpickled(replace(images, data=opened("digits:test"), groups=None)))  # which tasks replace
    parts = _ray_tasks(images, images.missing_shards(Path()))
    return [actor.answer(unpickled(part)) for part in reversed(parts)][::-1]


def unpickled(one: Any) -> Any:
    return pickle.loads(pickle.dumps(one))


def require_same(images: FromImages) -> None:
    here = list(images.missing(Path()))
    there = [(Path(answer.name), answer.table) for answer in sent(images)]
    assert [path for path, _ in there] == [path for path, _ in here]
    assert len(here) == -(-len(images.data) // IN_PARTS.shard_rows)
    for (_, one), (_, other) in zip(here, there, strict=True):
        assert other is not None
        require_same_table(other, one)


@pytest.mark.parametrize("kind", ["temperature", "columns", "predicted"])
def test_every_kind_of_gate(kind: str, gates: Path, photos: Path) -> None:
    require_same(images_of(gates / kind, f"images:{photos}"))


@pytest.mark.parametrize("spec", ["imagefolder:{}", "paths:{}/all.csv"])
def test_every_source_of_images(spec: str, gates: Path, photos: Path) -> None:
    require_same(images_of(gates / "mcp", spec.format(photos)))


def test_a_second_backbone_and_shifted_images(gates: Path, photos: Path) -> None:
    spec = f"corrupt:gaussian_noise:3/images:{photos}"
    pytest.importorskip("imagecorruptions")
    require_same(images_of(gates / "auxiliary", spec, auxiliary=BACKBONE))


def test_opinions_of_other_nets(opinions: Path, photos: Path) -> None:
    named = {"twelve": "module:tests.tiny_nets:twelve_classes"}
    require_same(images_of(opinions / "nets", f"images:{photos}", opinions=named))


def test_groups_by_id(gates: Path, photos: Path, tmp_path: Path) -> None:
    """Each part is sent with the groups of its images alone; one that has none is named."""
    sites = "".join(f"{name},{'01'[row % 2]}\n" for row, name in enumerate(opened("digits:test").ids))
    (tmp_path / "sites.csv").write_text(f"id,group\n{sites}")
    by = f"--groups {tmp_path}/sites.csv --outputs {gates}/outputs/test --max-risk 0.3"
    assert main(f"calibrate --oracle mcp {by} --out {tmp_path}/gate".split()) == 0
    groups = {name: name[0] for name in NAMES}
    images = images_of(tmp_path / "gate", f"images:{photos}", groups=groups)
    require_same(images)
    parts = _ray_tasks(images, images.missing_shards(Path()))
    assert [len(part.groups or {}) for part in parts] == [8, 8, 4]
    del groups[NAMES[-1]]
    images = images_of(tmp_path / "gate", f"images:{photos}", groups=groups)
    assert "expected a group for each id, found none" in "".join(answer.error for answer in sent(images))


def test_passes_with_dropout_are_drawn_by_the_row_in_the_whole(photos: Path, tmp_path: Path) -> None:
    net = "module:tests.tiny_nets:tiny_convolutions"
    transform = "--image-size 8 --mean 0.5 --std 0.5 --evidence dropout --passes 3 --batch-size 4"
    (tmp_path / "classes.txt").write_text("0\n1\n2\n")
    words = f"extract --classifier {net} --data imagefolder:{photos} --classes {tmp_path}/classes.txt {transform}"
    assert main(f"{words} --out {tmp_path}/outputs".split()) == 0
    words = f"calibrate --oracle mc_dropout --outputs {tmp_path}/outputs --max-risk 0.9 --out {tmp_path}/gate"
    assert main(words.split()) == 0
    require_same(images_of(tmp_path / "gate", f"images:{photos}", classifier=net))


@pytest.fixture
def damaged(photos: Path, tmp_path: Path) -> Path:
    for row, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"" if row == BROKEN else (photos / name).read_bytes())
    return tmp_path


def test_an_image_that_cannot_be_read(gates: Path, damaged: Path) -> None:
    images = images_of(gates / "free", f"images:{damaged}")
    with pytest.raises(SteepslopeError) as raised:
        list(images.missing(Path()))
    errors = [answer.error for answer in sent(images)]
    assert [error for error in errors if error] == [str(raised.value)]
    assert NAMES[BROKEN] in str(raised.value)
    require_same(images_of(gates / "free", f"images:{damaged}", PredictOptions(shard_rows=8, on_error="keep")))


def test_what_an_actor_cannot_run_is_told_with_each_part(
    gates: Path, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notice comes back once; nets that cannot run are no reason to start the actor again and again."""

    def failing(_: FromImages, notice: Any) -> Any:
        notice("PyTorch runs the classifier")
        raise SteepslopeError("cannot run")

    monkeypatch.setattr(FromImages, "engines", failing)
    found = sent(images_of(gates / "free", f"images:{photos}"))
    assert [(answer.error, answer.table) for answer in found] == [("cannot run", None)] * 3
    assert sorted(answer.notices for answer in found) == [(), (), ("PyTorch runs the classifier",)]


def test_data_sets_that_one_machine_alone_can_read_are_refused(gates: Path) -> None:
    whole: Any = object()
    with pytest.raises(SteepslopeError, match="engine: expected images in files"):
        _ray_tasks(replace(images_of(gates / "mcp", "digits:test"), data=whole), {Path("0"): [[0]]})


def test_users_are_told_once() -> None:
    lines: list[str] = []
    told = ("PyTorch runs",)
    notices = [("a", told), ("b", told), ("a", ()), ("c", ()), ("c", ()), ("d", ())]
    answers = [_ChunkAnswer("chunk", name, None, "", notice) for name, notice in notices]
    assert [*_answers_with_notices(answers, 2, lines.append)] == answers
    died = "an actor died, and was started again; its chunks are made once more"
    assert lines == ["PyTorch runs", died, died]
