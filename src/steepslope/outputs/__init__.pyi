# What the package lends to the others. What is public, __all__ names.
from ._answer_logs import read_answers as read_answers, with_truths as with_truths
from ._answers import (
    CONFIDENCE as CONFIDENCE,
    GRADES as GRADES,
    LOGITS as LOGITS,
    MISSED as MISSED,
    NO_CONFIDENCES as NO_CONFIDENCES,
    PROBABILITIES as PROBABILITIES,
    UNSAID as UNSAID,
    answer_logits as answer_logits,
    answer_texts as answer_texts,
    are_answers as are_answers,
    are_made as are_made,
    are_off_scale as are_off_scale,
    is_unanswered as is_unanswered,
    maker_in_words as maker_in_words,
    opinion_of_answers as opinion_of_answers,
    orders_of_answers as orders_of_answers,
    require_scales as require_scales,
    scale_of_answers as scale_of_answers,
    scale_of_orders as scale_of_orders,
    strength_of_order as strength_of_order,
)
from ._arrays import (
    ARRAYS as ARRAYS,
    CLASSES as CLASSES,
    OF_COPIES as OF_COPIES,
    OPINION as OPINION,
    SIGNAL as SIGNAL,
    VOTE as VOTE,
    array_of as array_of,
    checked_class_names as checked_class_names,
    difference as difference,
    is_opinion_array as is_opinion_array,
    is_signal_array as is_signal_array,
    opinion_of_array as opinion_of_array,
    require_arrays_in_one_order as require_arrays_in_one_order,
    require_finite_array as require_finite_array,
    require_opinion_name as require_opinion_name,
    require_same_class_names as require_same_class_names,
    rows_may_lack as rows_may_lack,
)
from ._classifier_outputs import (
    ClassifierOutputs as ClassifierOutputs,
    logit_blocks as logit_blocks,
    over_logits as over_logits,
    require_classes as require_classes,
    signal_arrays as signal_arrays,
)
from ._copies import (
    caution_on_equal_rows as caution_on_equal_rows,
    copies_of as copies_of,
    equal_row_codes as equal_row_codes,
    mixed_columns as mixed_columns,
    one_of_each_copy as one_of_each_copy,
    predictions_without_copies as predictions_without_copies,
    rows_of_pairs as rows_of_pairs,
    rows_that_agree as rows_that_agree,
    rows_together as rows_together,
    warn_of_copies as warn_of_copies,
)
from ._dependence import (
    signs_of_dependence as signs_of_dependence,
    warn_of_dependent_outputs as warn_of_dependent_outputs,
)
from ._folder import (
    AUGMENTED as AUGMENTED,
    AUXILIARY as AUXILIARY,
    MANIFEST as MANIFEST,
    OPINIONS as OPINIONS,
    VERSION as VERSION,
    augmented_copy_ids as augmented_copy_ids,
    extraction_of_folder as extraction_of_folder,
    ids_of_folder as ids_of_folder,
    opinions_in_folder as opinions_in_folder,
    outputs_manifest as outputs_manifest,
    require_folders_of_one_classifier as require_folders_of_one_classifier,
    write_ids_to_folder as write_ids_to_folder,
)
from ._labels import (
    EMPTY as EMPTY,
    UNKNOWN as UNKNOWN,
    UNKNOWN_NAME as UNKNOWN_NAME,
    Texts as Texts,
    listed_names as listed_names,
    means_unknown_label as means_unknown_label,
    out_of_class_texts as out_of_class_texts,
    read_classes as read_classes,
    warn_of_unknown_labels as warn_of_unknown_labels,
)
from ._logged_answers import graded_answers as graded_answers, write_answers as write_answers
from ._opinion_files import read_mapping as read_mapping, read_opinions as read_opinions
from ._opinions import (
    PLACES as PLACES,
    Opinion as Opinion,
    aligned_opinion as aligned_opinion,
    has_opinion as has_opinion,
    is_array_of_opinion as is_array_of_opinion,
    lacks_opinion as lacks_opinion,
    opinion_class_places as opinion_class_places,
)
from ._options import (
    TABLES as TABLES,
    ReadingOptions as ReadingOptions,
    options_by_name as options_by_name,
    require_files_for_options as require_files_for_options,
)
from ._predictions import (
    FOLDER as FOLDER,
    LABEL as LABEL,
    clusters_of_predictions as clusters_of_predictions,
    folders_of_images as folders_of_images,
    groups_of_predictions as groups_of_predictions,
    read_groups_by_id as read_groups_by_id,
    rows_that_belong_together as rows_that_belong_together,
)
from ._probabilities import LARGEST as LARGEST, checked_probabilities as checked_probabilities
from ._row_hashes import (
    BY_VALUES as BY_VALUES,
    RowHashes as RowHashes,
    have_ids_to_hash as have_ids_to_hash,
    shared_rows as shared_rows,
)
from ._table import (
    Table as Table,
    TableBlocks as TableBlocks,
    read_table as read_table,
    read_table_columns as read_table_columns,
    require_ids_once as require_ids_once,
)
from ._table_files import (
    NUMBER as NUMBER,
    TEXT as TEXT,
    TRUTH as TRUTH,
    CsvWriter as CsvWriter,
    Frame as Frame,
    require_filled as require_filled,
    table_file as table_file,
    table_writer as table_writer,
)
