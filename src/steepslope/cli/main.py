"""The command line: one dict of commands."""

import gc
import sys
from collections.abc import Sequence
from typing import Any

from steepslope.cli.calibrate import calibrate
from steepslope.cli.demo import demo
from steepslope.cli.evaluate import compare, evaluate
from steepslope.cli.export import export, push
from steepslope.cli.extract import extract, train_classifier
from steepslope.cli.finetune import finetune, plan
from steepslope.cli.fit import fit, search
from steepslope.cli.parser import run
from steepslope.cli.predict import predict
from steepslope.cli.reproduce import reproduce
from steepslope.cli.serve import monitor, serve
from steepslope.cli.shift import SHIFT

COMMANDS: dict[str, Any] = {
    "demo": demo,
    "train-classifier": train_classifier,
    "shift": SHIFT,
    "extract": extract,
    "fit": fit,
    "search": search,
    "finetune": finetune,
    "plan": plan,
    "evaluate": evaluate,
    "compare": compare,
    "calibrate": calibrate,
    "predict": predict,
    "export": export,
    "serve": serve,
    "push": push,
    "monitor": monitor,
    "reproduce": reproduce,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 after one line on standard error on what is wrong."""
    return run(COMMANDS, list(sys.argv[1:] if arguments is None else arguments), "steepslope")


def program() -> int:
    """Do the same as a process of its own, which ends a second earlier: what it imported is not collected."""
    code = main()
    gc.freeze()
    return code


if __name__ == "__main__":
    sys.exit(program())
