"""The names of ImageNet's classes."""

from collections.abc import Mapping
from functools import cache

from timm.data import ImageNetInfo

NUM_CLASSES = 1000


@cache
def wordnet_labels() -> Mapping[str, int]:
    """Return the labels of ImageNet's 1,000 WordNet ids, such as n01440764, as timm has them."""
    info = ImageNetInfo()
    return {info.index_to_label_name(label): label for label in range(NUM_CLASSES)}
