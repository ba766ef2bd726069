# What the package lends to the others. What is public, __all__ names.
from ._audit import (
    follow_audit as follow_audit,
    harm_found_by_audit as harm_found_by_audit,
    latest_audited_labels as latest_audited_labels,
    limit_by_audit as limit_by_audit,
    risk_interval_by_audit as risk_interval_by_audit,
)
from ._counting import count_files as count_files, limit_counted_in as limit_counted_in
from ._monitor import LABELS as LABELS, Monitor as Monitor
from ._predictions import Predicted as Predicted
from ._sentences import monitor_sentences as monitor_sentences
from ._state import WAIT as WAIT, Marked as Marked, begin_state as begin_state, open_state as open_state
