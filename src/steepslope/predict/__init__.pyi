# What the package lends to the others. What is public, __all__ names.
from ._audit import (
    AUDIT as AUDIT,
    CHANCE as CHANCE,
    LIMIT as LIMIT,
    audit_chances as audit_chances,
    audit_coins as audit_coins,
    audit_doubt as audit_doubt,
    reaches_audit_limit as reaches_audit_limit,
)
from ._chunks import (
    ENDING as ENDING,
    ERROR as ERROR,
    FINGERPRINT as FINGERPRINT,
    GroupOf as GroupOf,
    Made as Made,
    Source as Source,
    chunk_with_columns as chunk_with_columns,
    groups_of_chunk_ids as groups_of_chunk_ids,
    hash_of_text as hash_of_text,
    rows_for_chunk as rows_for_chunk,
    shuffled_by_ids as shuffled_by_ids,
)
from ._options import STDOUT as STDOUT, PredictOptions as PredictOptions
from ._prediction_file import (
    file_or_stdout as file_or_stdout,
    predict_to_file as predict_to_file,
    require_prediction_file as require_prediction_file,
)
from ._source import (
    groups_of_source as groups_of_source,
    key_of_source as key_of_source,
    source_of_outputs as source_of_outputs,
    things_by_id as things_by_id,
    write_decisions_on_outputs as write_decisions_on_outputs,
    write_source_decisions as write_source_decisions,
)
