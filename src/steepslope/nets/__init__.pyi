# What the package lends to the others. What is public, __all__ names.
from ._seeding import on_threads as on_threads, seed_of as seed_of, seeded as seeded
from ._weights import (
    digest_of_weights as digest_of_weights,
    load_weights as load_weights,
    save_training_state as save_training_state,
    save_weights as save_weights,
    take_up_state as take_up_state,
)
from .predict._image_gate import ImageGate as ImageGate
from .training._on_images import ImageOracle as ImageOracle
