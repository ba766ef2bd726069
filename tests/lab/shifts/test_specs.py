"""Shifts in data specs."""

from __future__ import annotations

import numpy as np
import pytest

from steepslope.errors import SteepslopeError
from steepslope.nets.data._shifted import Shifted
from steepslope.nets.data._specs import _shift_parsers, parse_data

TEXTS = [
    "corrupt:fog:3/digits:test",
    "corrupt:snow:1?seed=2&crop=64/corrupt:fog:3/idx:/some/where/digits:test",
    "distort:ghost:1/digits:test",
    "distort:blur:0?seed=2&crop=64/corrupt:fog:3/idx:/some/where/digits:test",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_spec_is_its_own_text(text: str) -> None:
    spec = parse_data(text)
    assert str(spec) == text
    assert parse_data(str(spec)) == spec
    assert spec.name == text.removesuffix(":test")
    assert len(spec.shifts) == sum(text.count(f"{kind}:") for kind in _shift_parsers())


def test_the_last_shift_comes_first() -> None:
    """Noise on contrast is not contrast on noise."""
    spec = parse_data("corrupt:contrast:5/corrupt:gaussian_noise:5/digits:test")
    one = np.asarray(spec.open().image(0))
    other = np.asarray(parse_data("corrupt:gaussian_noise:5/corrupt:contrast:5/digits:test").open().image(0))
    assert one.std() < 0.3 * other.std()


def test_a_shifted_data_set_has_the_labels_and_ids_of_the_original() -> None:
    plain, shifted = (parse_data(f"{shift}digits:test").open() for shift in ("", "corrupt:fog:3/"))
    assert isinstance(shifted, Shifted)
    assert len(shifted) == len(plain)
    assert np.array_equal(plain.labels, shifted.labels)  # type: ignore[arg-type]
    assert list(plain.ids) == list(shifted.ids)
    assert shifted.classes == plain.classes


def test_fingerprints_tell_shifts_apart() -> None:
    shifts = ["corrupt:fog:3", "corrupt:fog:4", "corrupt:snow:3", "corrupt:fog:3?seed=1", "corrupt:fog:3?crop=8"]
    shifts += ["distort:fog:1", "distort:fog:1?seed=1"]
    texts = ["digits:test", *(f"{shift}/digits:test" for shift in shifts)]
    assert len({parse_data(text).look().open().fingerprint() for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("corrupt:fogg:3/digits", "data spec 'corrupt:fogg:3/digits': unknown corruption 'fogg': did you mean 'fog'"),
        ("corrupt:fog:6/digits", "severity: expected a whole number from 1 to 5, found 6"),
        ("corrupt:fog:3?seed=-1/digits", "seed: expected a whole number from 0"),
        ("distort:fog:1?crop=0/digits", "crop: expected a whole number >= 1, found 0"),
        ("corrupt:fog/digits", "expected corrupt:KIND:SEVERITY, such as corrupt:fog:3, found corrupt:fog"),
        ("corrupt:fog:3", r"expected / and a data spec after corrupt:…, found none"),
        ("corrupt:fog:3/digit:test", "unknown data scheme in 'digit:test': 'digit': did you mean 'digits'"),
        ("corrupt:fog:3?sed=1/digits", "unknown option of 'fog:3[?]sed=1': 'sed': did you mean 'seed'"),
        ("distort:fogg:1/digits", "data spec 'distort:fogg:1/digits': unknown distortion 'fogg': did you mean 'fog'"),
        ("distort:fog:2/digits", "severity: expected a whole number from 0 to 1, found 2"),
        ("distort:fog/digits", "expected distort:KIND:SEVERITY, such as distort:blur:1, found distort:fog"),
        ("corrupt:fog:3?seed=x/digits", "seed: expected a whole number, found 'x'"),
    ],
)
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(SteepslopeError, match=message):
        parse_data(text).look()


def test_every_shift_is_known() -> None:
    assert set(_shift_parsers()) >= {"corrupt", "distort"}
