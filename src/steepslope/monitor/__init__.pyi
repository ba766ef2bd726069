from .monitor import Monitor as Monitor
from .signals import SIGNALS as SIGNALS
