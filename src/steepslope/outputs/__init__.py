"""The outputs of a frozen classifier on a data set, in memory and on disk: the arrays from which all later steps work.

``arrays``: the schema of all arrays, one literal, and how frames, tensors and lists become arrays.
``classifier_outputs``: the class that users hold. ``predictions``: their groups and clusters. ``table``: a file or
folder of predictions, opened once, whole or in blocks. ``options``: how the columns of other people's files are named
(``ReadingOptions``). ``columns``: from these options to what each holds. ``table_files``: CSV files, and what any
table is read as; ``parquet_files``: Parquet. ``folder``: folders with their manifest, and whether two come from one
classifier. ``labels``: labels by name, and columns of text. ``probabilities``: those in place of logits;
``answers``: a class and a confidence in place of them. ``answer_logs``: logs of harnesses and services, read as
``logged_answers``, and these written as a table.
``opinions``: what others think of the same rows, brought to the rows and classes of outputs; ``opinion_files``: read
from files. ``copies``: which rows are copies of others, or belong together; ``dependence``: signs that rows depend on
one another. ``row_hashes``: which rows an oracle was fitted on.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["ARRAYS", "ClassifierOutputs", "ReadingOptions"]
