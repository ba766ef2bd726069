from ..promise.aims import Aims as Aims
from ..promise.certificate import Certificate as Certificate
from ..promise.certify import threshold_sequence as threshold_sequence
from .confidence_source import Origin as Origin
from .decisions import Decisions as Decisions
from .gate import Gate as Gate
