# What the package lends to the others. What is public, __all__ names.
from ._cluster import FromCluster as FromCluster
from ._from_images import FromImages as FromImages, images_to_judge as images_to_judge
from ._image_gate import ImageGate as ImageGate
from ._options import ClusterOptions as ClusterOptions, NetSpecs as NetSpecs
