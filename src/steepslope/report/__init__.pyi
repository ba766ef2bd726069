# What the package lends to the others. What is public, __all__ names.
from ._comparison import (
    COMPARISON as COMPARISON,
    Comparison as Comparison,
    compare_runs as compare_runs,
    compared_runs_grid as compared_runs_grid,
    comparison_headings as comparison_headings,
    comparison_headline as comparison_headline,
    comparison_sentences as comparison_sentences,
    names_of_compared_runs as names_of_compared_runs,
    require_comparable as require_comparable,
    write_comparison as write_comparison,
)
from ._confidences import (
    BASELINE as BASELINE,
    Resources as Resources,
    Scored as Scored,
    confidences_of_scores as confidences_of_scores,
    fit_set_for_confidences as fit_set_for_confidences,
    oracle_for_confidences as oracle_for_confidences,
    rows_confidences_fitted_on as rows_confidences_fitted_on,
)
from ._evaluation import (
    Evaluation as Evaluation,
    evaluate_predictions as evaluate_predictions,
    evaluated_rows as evaluated_rows,
    ids_of_evaluated as ids_of_evaluated,
    nan_to_none as nan_to_none,
)
from ._grid import (
    UNDEFINED as UNDEFINED,
    Cell as Cell,
    Grid as Grid,
    estimate_cell as estimate_cell,
    grid_for_terminal as grid_for_terminal,
    grid_in_markdown as grid_in_markdown,
    number_cell as number_cell,
    plain_in_markdown as plain_in_markdown,
)
from ._page import REPORT as REPORT, write_report as write_report
from ._runs import read_run as read_run
from ._screen import (
    show_evaluation_on_screen as show_evaluation_on_screen,
    show_lines_on_screen as show_lines_on_screen,
)
from ._tables import terminal_table_titles as terminal_table_titles
