# What the package lends to the others. What is public, __all__ names.
from ._charts import chart_looks as chart_looks, estimate_looks as estimate_looks, page_charts as page_charts
from ._gallery import (
    NO_SOURCES as NO_SOURCES,
    FindImages as FindImages,
    ReadImage as ReadImage,
    Sources as Sources,
    gallery as gallery,
    report_sources as report_sources,
)
from ._page_scores import page_promises as page_promises, page_scores as page_scores
from ._shell import fill_page_shell as fill_page_shell
