"""What people look at: the tables of an evaluation, its figures, and the HTML page.

``page.py`` writes ``metrics.json``, ``details.json``, ``table.md``, ``rows.parquet`` and ``report.html``, whose parts
are in ``web/``. ``headline.py`` has the sentence that all begins with, and what it rests on; ``summary.py`` the page's
first table, with a definition of each column. ``tables.py`` has the main table and those below it: differences to MCP,
risk at a coverage, the confusion, the cut η of the steep slope loss, separability, the paper's variants;
``group_tables.py`` those of classes, groups and confusions. ``grid.py`` renders a table in Markdown or for a terminal,
``typeset.py`` as LaTeX or comma-separated values; ``screen.py`` prints the main table with colours, and lines of words.
``row_table.py`` writes a line a prediction, ``search_table.py`` a line a pair of slopes that were searched.
``stored.py`` reads what a report's folder holds, ``comparison.py`` sets several side by side, and
``comparison_page.py`` writes what comes of it.

``columns.py`` has the columns of the tables of experiments, and what stands in their cells; ``results.py`` writes a
folder of such tables and figures, with a page of all; ``published.py`` compares them with the numbers that the paper
prints.

``figures.py`` draws the figures of papers that compare losses, from plain arrays: the losses themselves, risk against
coverage in several panels, sweeps of a setting; ``outcomes.py`` the histograms of confidences by outcome. ``style.py``
has the colours, lines and sizes of these, and writes them as PNG and SVG.
"""
