from .frozen import FrozenPair as FrozenPair
from .standing import Standing as Standing, benchmark as benchmark
