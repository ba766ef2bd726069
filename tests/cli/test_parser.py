"""The parser: lists in every spelling, files of options, and errors that name the option as it is typed."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Collection
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

import pytest

from steepslope.cli._main import COMMANDS, all_commands, run_command
from steepslope.cli._parser import FURTHER, _loss_options, parser_options_of, showing_first
from steepslope.heads import HEADS
from steepslope.losses import LOSSES, loss_parameters
from steepslope.nets.classifiers._nets import NETS
from steepslope.nets.classifiers._specs import CLASSIFIERS
from steepslope.nets.data._specs import DATASETS
from steepslope.nets.extraction._options import EVIDENCE_ARRAYS, VIEW_NAMES
from steepslope.oracle._fused_fit import LEVELS
from steepslope.oracle.evidence import EVIDENCE
from steepslope.scores import SCORES
from steepslope_lab.paper.experiment import experiment_names
from steepslope_lab.paper.preset import paper_preset_names
from steepslope_lab.shifts.corruptions import CORRUPTIONS
from tests.conftest import Captured

SEEN: list[tuple[Any, ...]] = []


@dataclass(frozen=True)
class Sizes:
    """Sizes.

    Parameters
    ----------
    widths
        Some widths.
    """

    widths: tuple[int, ...] = ()


def command(
    sizes: Sizes,
    names: tuple[str, ...] = ("a",),
    mean: tuple[float, ...] | None = None,
    flag: bool = False,
    seed: int | None = 0,
) -> None:
    """Keep what is given.

    Parameters
    ----------
    sizes
        An option class.
    names
        Some names.
    mean
        50 % of some numbers.
    """
    SEEN.append((sizes.widths, names, mean, flag, seed))


@showing_first("seed", "widths")
def first_of_all(sizes: Sizes, seed: int, mean: float = 0.5) -> None:
    """Keep nothing.

    Parameters
    ----------
    sizes
        An option class.
    seed
        A seed.
    mean
        A mean.
    """


def with_words(word: tuple[str, ...], /, preset: str = "small", sizes: tuple[int, ...] = ()) -> None:
    """Keep what is given, some words alone.

    Parameters
    ----------
    word
        Names of tables.
    preset
        A preset of the command's own.
    """
    SEEN.append((word, preset, sizes))


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write files of options and of odd names into the folder of the test."""
    monkeypatch.chdir(tmp_path)
    Path("good.yaml").write_text("widths: 64,32\nnames: [b, c]\nmean: 0.5\n")
    Path("bad.yaml").write_text("widths: [64.5]\n")
    Path("unknown.yaml").write_text("wdths: 3\n")
    Path("a,b.csv").touch()
    SEEN.clear()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ((), ("a",), None, False, 0)),
        ("--widths 64,32 --names b,c --mean 0.5,1", ((64, 32), ("b", "c"), (0.5, 1.0), False, 0)),
        ("--widths=64 --names=007 --mean=0.5", ((64,), ("007",), (0.5,), False, 0)),
        ("--widths 64 32 --names none --flag", ((64, 32), (), None, True, 0)),
        ("--mean -0.5 1 --seed -3 --flag false", ((), ("a",), (-0.5, 1.0), False, -3)),
        ("--mean=-1e-3 --seed null", ((), ("a",), (-0.001,), False, None)),
        ("--names a,b c --seed 1 --names d", ((), ("a", "b", "c", "d"), None, False, 1)),
        ("--names a,b.csv c.csv", ((), ("a,b.csv", "c.csv"), None, False, 0)),  # there is a file of the first name
        ("--config good.yaml", ((64, 32), ("b", "c"), (0.5,), False, 0)),
        ("--widths 8 --flag true --config good.yaml", ((8,), ("b", "c"), (0.5,), True, 0)),
    ],
)
def test_options_in_every_spelling(words: str, expected: tuple[Any, ...]) -> None:
    assert run_command(command, words.split(), "prog") == 0
    assert [expected] == SEEN


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("table1", (("table1",), "small", ())),
        ("table1 table2 --preset large --sizes 1,2", (("table1", "table2"), "large", (1, 2))),
        ("--preset=mnist a,b", (("a,b",), "mnist", ())),
    ],
)
def test_parameters_before_a_slash_are_words_alone(words: str, expected: tuple[Any, ...]) -> None:
    assert run_command(with_words, words.split(), "prog") == 0
    assert [expected] == SEEN


@pytest.mark.parametrize(
    ("function", "words", "message"),
    [
        (command, "--widths 64.5", "--widths: expected a whole number, found '64.5'"),
        (command, "--names --flag", "--names: expected at least one argument"),
        (command, "--mean nan", "--mean: expected a number, found 'nan'"),
        (command, "--flag maybe", "--flag: expected true or false, found 'maybe'"),
        (command, "--sede 1", "unrecognized arguments: --sede 1 (did you mean --seed?) (see prog --help)"),
        (first_of_all, "--maen 1", "unrecognized arguments: --maen 1 (did you mean --mean?) (see prog --help)"),
        (command, "--config bad.yaml", "bad.yaml: widths: expected a whole number, found 64.5"),
        (command, "--config unknown.yaml", "unknown.yaml: unknown option 'wdths': did you mean 'widths'?"),
        (command, "--config none.yaml", "none.yaml: expected a file in YAML or JSON, found none"),
        (command, "--seed ''", "an empty value was given after --seed"),
        (with_words, "", "the following arguments are required: WORD (see prog --help)"),
        (with_words, "--wrod table1", "unrecognized arguments: --wrod"),
    ],
)
def test_what_is_wrong_is_named_as_it_is_typed(function: Any, words: str, message: str, capsys: Captured) -> None:
    assert run_command(function, shlex.split(words), "prog") == 2
    assert message in capsys.readouterr().err
    assert not SEEN


def test_help_shows_options_in_groups_and_defaults_as_they_are_typed(capsys: Captured) -> None:
    for function, expected in (
        (command, ("An option class: --widths WIDTHS [WIDTHS ...] Some widths. (default: none)", "50 % of some")),
        (command, ("Some names. (default: a)", "--flag [{true,false}] (default: false)", "[options] Keep what")),
        (with_words, ("prog WORD [options]", "Names of tables.", "--preset PRESET A preset of the command's own.")),
    ):
        with pytest.raises(SystemExit):
            run_command(function, ["--help"], "prog")
        text = " ".join(capsys.readouterr().out.split())
        assert all(one in text for one in expected), text


@pytest.mark.parametrize(
    ("word", "order", "left_out"),
    [
        ("--help", ("--seed SEED", "--widths WIDTHS", "--help-all shows 3 more options."), ("--mean", "--config")),
        ("--help-all", ("--seed SEED", "--widths WIDTHS", f"{FURTHER}: --mean MEAN", "--config CONFIG"), ("more op",)),
    ],
)
def test_help_shows_the_first_options_and_help_all_the_others_in_groups(
    word: str, order: tuple[str, ...], left_out: tuple[str, ...], capsys: Captured
) -> None:
    with pytest.raises(SystemExit):
        run_command(first_of_all, [word], "prog")
    text = " ".join(capsys.readouterr().out.split())
    places = [text.index(one) for one in order]
    assert places == sorted(places)
    assert [one for one in left_out if one in text] == []


def test_each_command_shows_at_most_eight_options_first_those_that_are_required_among_them() -> None:
    for name, function in all_commands().items():
        options = parser_options_of(function)
        first = [option.name for option in options if not option.group]
        assert 0 < len(first) <= 8, name
        assert {option.name for option in options if option.default is MISSING} <= {*first}, name


def test_help_names_every_entry_of_a_registry() -> None:
    """Where an option takes names of a registry, which is too heavy to be read for help, its text has them all."""
    choices: dict[tuple[str, str], Collection[str]] = {
        ("train-classifier", "net"): NETS, ("extract", "data"): DATASETS, ("extract", "classifier"): CLASSIFIERS,
        ("extract", "evidence"): EVIDENCE_ARRAYS, ("extract", "views"): VIEW_NAMES, ("fit", "loss"): LOSSES,
        ("fit", "head"): HEADS, ("fit", "inputs"): EVIDENCE, ("fit", "budget"): LEVELS, ("finetune", "loss"): LOSSES,
        ("finetune", "head"): HEADS, ("shift corrupt", "kind"): CORRUPTIONS,
        ("reproduce", "experiment"): experiment_names(), ("reproduce", "preset"): paper_preset_names(),
    }  # fmt: skip
    for fits_on, option in {"nothing": "scores", "errors": "fit", "reference": "reference"}.items():
        choices["evaluate", option] = [name for name, score in SCORES.items() if score.fits_on == fits_on]
    for (name, option), entries in choices.items():
        (text,) = (one.help for one in parser_options_of(all_commands()[name]) if one.name == option)
        assert [one for one in entries if not re.search(rf"(?<![\w-]){one}(?![\w-])", text)] == [], (name, option)


def test_a_printed_config_is_a_config_in_yaml_and_in_json(capsys: Captured, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_command(command, ["--names", "q,r", "--print-config"], "prog") == 0
    printed = capsys.readouterr().out
    for name in ("printed.yaml", "printed.json"):
        Path(name).write_text(printed)
        assert run_command(command, ["--config", name, "--seed", "2"], "prog") == 0
        monkeypatch.setitem(sys.modules, "yaml", None)  # where it is not installed
    assert SEEN == 2 * [((), ("q", "r"), None, False, 2)]
    assert run_command(command, ["--config", "printed.yaml"], "prog") == 2
    assert "error: this needs yaml: pip install 'steepslope[nets]'\n" in capsys.readouterr().err


def test_losses_agree_on_the_defaults_of_parameters_that_they_share() -> None:
    """And help names each; the parser reads them from the source."""
    defaults = {(name, default) for loss in LOSSES for name, (default, _) in loss_parameters(loss).items()}
    assert {(option.name, option.default) for option in _loss_options()} == defaults
    assert {name for name, _ in defaults} <= {option.name for option in parser_options_of(COMMANDS["fit"])}


def test_every_option_of_every_command_is_documented_once() -> None:
    for name, function in all_commands().items():
        options = parser_options_of(function)
        assert len({option.name for option in options}) == len(options), name
        assert [option.name for option in options if not option.help] == [], name
