from .arrays import ARRAYS as ARRAYS
from .classifier_outputs import ClassifierOutputs as ClassifierOutputs
from .options import ReadingOptions as ReadingOptions
