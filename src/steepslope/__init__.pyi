from .errors import SteepslopeError as SteepslopeError
from .gate import Gate as Gate
from .metrics import compare as compare, evaluate as evaluate
from .monitor import Monitor as Monitor
from .oracle import FusedOracle as FusedOracle, Oracle as Oracle
from .outputs import ClassifierOutputs as ClassifierOutputs
from .report._evaluation import evaluate_predictions as evaluate_predictions
from .report._page import write_report as write_report
from .score_benchmark._standing import benchmark as benchmark
from .sklearn import TrustedClassifier as TrustedClassifier

__version__: str
