"""What people look at: the tables of an evaluation, its figures, and the HTML page.

``page.py`` writes ``metrics.json``, ``details.json``, ``table.md`` and ``report.html`` (by the template ``page.html``).
``tables.py`` has the main table and those below it: differences to MCP, risk at a coverage, the confusion, the cut η of
the steep slope loss, separability, the paper's variants, groups. ``plots.py`` draws histograms and the risk-coverage
curve, and ``grid.py`` renders a table in Markdown or for a terminal, ``typeset.py`` as LaTeX or comma-separated values.
``row_table.py`` writes a line a prediction, and ``search_table.py`` has the table of a search for the slopes of the
steep slope loss.
"""
