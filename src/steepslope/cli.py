"""The command line: one dict of commands."""

import gc
import sys
from collections.abc import Sequence
from typing import Any

from steepslope.commands.calibrate import calibrate
from steepslope.commands.compare import compare
from steepslope.commands.demo import demo
from steepslope.commands.evaluate import evaluate
from steepslope.commands.export import export
from steepslope.commands.extract import extract
from steepslope.commands.finetune import finetune
from steepslope.commands.fit import fit
from steepslope.commands.monitor import monitor
from steepslope.commands.plan import plan
from steepslope.commands.predict import predict
from steepslope.commands.push import push
from steepslope.commands.reproduce import reproduce
from steepslope.commands.search import search
from steepslope.commands.serve import serve
from steepslope.commands.shift import SHIFT
from steepslope.commands.train_classifier import train_classifier
from steepslope.utilities.command_line import run

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
