from .certificate import Certificate as Certificate
from .certify import threshold_sequence as threshold_sequence
from .objectives import Objectives as Objectives
