"""`steepslope monitor`."""

from pathlib import Path

from steepslope.files.progress import console

ALARM = 3  # the exit code


def monitor(
    gate: str,
    state: str,
    predictions: tuple[str, ...] = (),
    labels: str | None = None,
    calibration: str | None = None,
    delta: float | None = None,
    signal: str | None = None,
    plot: str | None = None,
    json: bool = False,
) -> int:
    """Watch a gate at work: raise an alarm where its predictions do harm, with labels or without.

    Exit code 0: no alarm. 3: there is, or was, an alarm. 2: bad input; the state is as before.

    Parameters
    ----------
    gate
        Folder of the gate (calibrate).
    state
        JSON file of what is known so far, made where it is not there. Delete it to begin anew, as after a calibration.
    predictions
        Files of its decisions (predict), .csv or .parquet, in the order in which they were made. A prediction that was
        counted before, by its id, is not counted again.
    labels
        True labels as they come, late, in any order, of some predictions: a .csv or .parquet file with the columns id
        and label, or a column of the predictions. Draw at random which of the accepted get a label: to label the least
        sure, or complaints first, raises alarms although the promise holds.
    calibration
        Labelled outputs to compare with, which the gate judges, where it is of an earlier version and does not know its
        own calibration rows.
    delta
        Probability, in (0, 1), of a false alarm at any time, while predictions are drawn independently, as the
        calibration rows were; by default 0.05, fixed when the state is made.
    signal
        What an alarm without labels goes by, beside coverage: overconfidence (of the classifier, by the gate's account)
        or risk (the estimated risk of the accepted). By default overconfidence for a gate with an oracle, else risk;
        fixed when the state is made.
    plot
        Figure of all so far, .png or .svg.
    json
        Print the state as one JSON document in place of sentences.
    """
    from steepslope.monitor.counting import print_json, watched
    from steepslope.monitor.plot import require_picture, write_plot
    from steepslope.monitor.sentences import sentences

    if plot is not None:
        require_picture(plot)
    watch = watched(Path(gate), Path(state), [Path(file) for file in predictions], labels, calibration, delta, signal)
    if plot is not None:
        write_plot(watch.monitor, Path(plot))
    if json:
        print_json(watch.monitor)
    else:
        print("\n".join(sentences(watch)))
    console().print(f"state: {state}")
    return ALARM if watch.monitor.alarms else 0
