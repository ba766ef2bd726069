from .gate import Gate as Gate
from .metrics import compare as compare, evaluate as evaluate
from .oracle import Oracle as Oracle
from .outputs import ClassifierOutputs as ClassifierOutputs
from .score_benchmark import benchmark as benchmark
from .scores import SCORES as SCORES
from .sklearn import TrustedClassifier as TrustedClassifier

__version__: str
