"""`python -m steepslope` and the script `steepslope`. From the first import on, Ctrl+C gives one line."""

import sys


def program() -> int:
    """Run the command that this process was started with; return its exit code."""
    try:
        import gc

        from steepslope.cli import main

        code = main()
        gc.freeze()  # skips the collection of imported modules, so the process ends a second earlier
        return code
    except KeyboardInterrupt:
        print("steepslope: interrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(program())
