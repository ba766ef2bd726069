"""The outputs of a frozen classifier on a data set, in memory and on disk: the arrays from which all later steps work.

``_arrays``: the schema of all arrays, one literal, and how frames, tensors and lists become arrays.
``_classifier_outputs``: the class that users hold. ``_predictions``: their groups and clusters. ``_table``: a file or
folder of predictions, opened once, whole or in blocks. ``_options``: how the columns of other people's files are named
(``ReadingOptions``). ``_columns``: from these options to what each holds. ``_table_files``: CSV files, and what any
table is read as; ``_parquet_files``: Parquet. ``_folder``: folders with their manifest, and whether two come from one
classifier. ``_labels``: labels by name, and columns of text. ``_probabilities``: those in place of logits;
``_answers``: a class and a confidence in place of them. ``_answer_logs``: logs of harnesses and services as answers.
``_opinions``: what others think of the same rows, brought to the rows and classes of outputs; ``_opinion_files``: read
from files. ``_copies``: which rows are copies of others, or belong together; ``_dependence``: signs that rows depend on
one another. ``_row_hashes``: which rows an oracle was fitted on.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["ARRAYS", "ClassifierOutputs", "ReadingOptions"]
