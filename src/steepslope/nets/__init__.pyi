from .predict.image_gate import ImageGate as ImageGate
from .training.on_images import ImageOracle as ImageOracle
