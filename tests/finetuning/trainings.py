"""How tests train oracles on images of digits."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from steepslope.cli import main

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
COMMAND = [sys.executable, "-m", "steepslope", "finetune"]


def words(home: Path, out: Path, *options: str, live: bool = False) -> list[str]:
    """Return the options of a training on the classifier's own backbone."""
    net = f"checkpoint:{home / 'classifier'}"
    source = ["--classifier", net] if live else ["--outputs", str(home / "outputs" / "train")]
    return ["--oracle", net, "--data", "digits", *source, "--batch-size", "40", *options, "--out", str(out)]


def trained(home: Path, out: Path, *options: str, live: bool = False) -> bytes:
    """Train and return the file of weights."""
    assert main(["finetune", *words(home, out, *options, live=live)]) == 0
    return (out / "oracle.safetensors").read_bytes()
