from .aims import Aims as Aims
from .certificate import Certificate as Certificate
from .certify import threshold_sequence as threshold_sequence
