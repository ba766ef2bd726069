from .confidence_source import Origin as Origin
from .decisions import Decisions as Decisions
from .gate import Aims as Aims, Certificate as Certificate, Gate as Gate, threshold_sequence as threshold_sequence
