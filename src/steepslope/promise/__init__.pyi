from .certificate import Certificate as Certificate
from .objectives import Objectives as Objectives
from .sequence import threshold_sequence as threshold_sequence
