from .columns import Oracle as Oracle
from .fused import FusedOracle as FusedOracle
