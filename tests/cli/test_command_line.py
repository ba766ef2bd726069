"""The parser: lists in every spelling, and errors that name the option as it is typed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from steepslope.cli.parser import call, run

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
    sizes: Sizes, names: tuple[str, ...] = ("a",), mean: tuple[float, ...] | None = None, flag: bool = False
) -> None:
    """Keep what is given.

    Parameters
    ----------
    sizes
        An option class.
    names
        Some names.
    mean
        Some numbers.
    flag
        A switch.
    """
    SEEN.append((sizes.widths, names, mean, flag))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", ((), ("a",), None, False)),
        ("--widths 64,32 --names b,c --mean 0.5,1", ((64, 32), ("b", "c"), (0.5, 1.0), False)),
        ("--widths=64 --names=007 --mean=0.5", ((64,), ("007",), (0.5,), False)),
        ("--widths [64,32] --names [b,c] --mean [0.5]", ((64, 32), ("b", "c"), (0.5,), False)),
        ("--widths none --names none --flag", ((), (), None, True)),
        ("--config CONFIG", ((64, 32), ("b", "c"), (0.5,), False)),
        ("--config CONFIG --widths 8 --flag true", ((8,), ("b", "c"), (0.5,), True)),
    ],
)
def test_lists_have_commas_in_options_and_files(words: str, expected: tuple[Any, ...], tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("widths: 64,32\nnames: [b, c]\nmean: 0.5\n")
    assert run(command, words.replace("CONFIG", str(tmp_path / "config.yaml")).split(), "prog") == 0
    assert SEEN.pop() == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--widths 64.5", "--widths: invalid list of int value: '64.5'"),
        ("--widths [true]", "--widths: invalid list of int value"),
        ("--widths [64", "--widths: invalid list of int value: '[64'"),
        ("--names --flag", "--names: expected one argument"),
        ("--config CONFIG", "widths"),
    ],
)
def test_what_is_no_list_is_named(words: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("widths: [64.5]\n")
    assert run(command, words.replace("CONFIG", str(tmp_path / "config.yaml")).split(), "prog") == 2
    assert message in capsys.readouterr().err
    assert not SEEN


def with_a_name(name: str, /, preset: str = "small", sizes: tuple[int, ...] = ()) -> None:
    """Keep what is given, the name alone.

    Parameters
    ----------
    name
        Name of a table.
    preset
        A preset of the command's own.
    sizes
        Some sizes.
    """
    SEEN.append((name, preset, sizes))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("table1", ("table1", "small", ())),
        ("table1 --preset large --sizes 1,2", ("table1", "large", (1, 2))),
        ("--preset=mnist table1", ("table1", "mnist", ())),  # no preset of trainings, which would be a file of options
    ],
)
def test_a_parameter_before_a_slash_is_a_word_alone(words: str, expected: tuple[Any, ...]) -> None:
    assert run(with_a_name, words.split(), "prog") == 0
    assert SEEN.pop() == expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "the following arguments are required: NAME (see prog --help)"),
        ("--name table1", "unrecognized arguments: --name (see prog --help)"),
        ("table1 table2", "table2"),
    ],
)
def test_a_missing_word_is_named_as_help_shows_it(words: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(with_a_name, words.split(), "prog") == 2
    assert message in capsys.readouterr().err
    assert not SEEN


def test_help_shows_the_word_and_the_commands_own_preset(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run(with_a_name, ["--help"], "prog")
    text = " ".join(capsys.readouterr().out.split())
    assert "NAME Name of a table." in text
    assert "--preset PRESET A preset of the command's own." in text
    assert "Options that hold unless given" not in text


def test_words_alone_may_be_several(capsys: pytest.CaptureFixture[str]) -> None:
    def several(folder: tuple[str, ...], /, out: str) -> None:
        """Keep folders.

        Parameters
        ----------
        folder
            Some folders.
        out
            Another one.
        """
        SEEN.append((folder, out))

    for words, expected in (("a b --out c", (("a", "b"), "c")), ("--out c a,b", (("a,b",), "c"))):
        assert run(several, words.split(), "prog") == 0
        assert SEEN.pop() == expected
    assert run(several, ["--out", "c"], "prog") == 2
    assert "required: FOLDER (see prog --help)" in capsys.readouterr().err


def test_a_file_with_a_comma_in_its_name_is_one_file(tmp_path: Path) -> None:
    odd, plain = tmp_path / "a,b.csv", tmp_path / "c.csv"
    odd.touch()
    found: list[tuple[str, ...]] = []

    def command(files: tuple[str, ...] = ()) -> None:
        """Take files."""
        found.append(files)

    for words in (["--files", str(odd), str(plain)], [f"--files={odd}", str(plain)], ["--files", str(odd)]):
        assert call(command, words, "command") == 0
    assert found == [(str(odd), str(plain)), (str(odd), str(plain)), (str(odd),)]
