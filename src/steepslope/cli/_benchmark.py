"""`steepslope benchmark`."""

from pathlib import Path

from steepslope.errors import SteepslopeError
from steepslope.files import require_no_file


def benchmark(
    score: str | None = None, /, out: str = "runs/benchmark", frozen: str | None = None, check: str | None = None
) -> None:
    """Judge a score on frozen outputs that ship with the package, next to MCP and the fused oracle; or check a result.

    Parameters
    ----------
    score
        module:name in your own module, of a function from outputs to a confidence for each prediction, or of an object
        or class with fit and confidence; or the name of a score, such as margin; or fused, the fused oracle.
    out
        Folder for NAME.json, by the name of the score.
    frozen
        File of frozen outputs in place of the package's.
    check
        JSON file that this command wrote. It is refused unless it is about these frozen outputs, unchanged, and its
        numbers are possible.
    """
    from steepslope.files import say
    from steepslope.score_benchmark import FILE, benchmark as judged, checked_submission, score_by_name

    if (score is None) == (check is None):
        raise SteepslopeError("expected a score, such as module:name, or --check FILE.json")
    if check is not None:
        print(checked_submission(Path(check), frozen or FILE))
        return
    folder = require_no_file(out)
    standing = judged(score_by_name(str(score)), frozen or FILE, str(score).rpartition(":")[2], say)
    file = folder / f"{standing.content['score']}.json"
    standing.save(file)
    print(f"{standing}\n\nwritten: {file}")
