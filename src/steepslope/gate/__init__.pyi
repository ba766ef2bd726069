from .confidence_source import Origin as Origin
from .decisions import Decisions as Decisions
from .gate import (
    Certificate as Certificate,
    Gate as Gate,
    Objectives as Objectives,
    threshold_sequence as threshold_sequence,
)
