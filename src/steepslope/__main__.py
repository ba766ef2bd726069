"""`python -m steepslope`, and what the script `steepslope` runs: from the first import on, Ctrl+C gives one line."""

import sys


def program() -> int:
    """Run the command that the words of this process name; return its exit code."""
    try:
        import gc

        from steepslope.cli.main import main

        code = main()
        gc.freeze()  # the process ends a second earlier: what it imported is not collected
        return code
    except KeyboardInterrupt:
        print("steepslope: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(program())
