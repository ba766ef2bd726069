# What the package lends to the others. What is public, __all__ names.
from ._engine import (
    Engine as Engine,
    classifier_on_backend as classifier_on_backend,
    dropout_layers as dropout_layers,
    noise_estimates as noise_estimates,
)
from ._extraction import (
    data_by_split as data_by_split,
    extract as extract,
    extract_to_folder as extract_to_folder,
    summary_of_outputs as summary_of_outputs,
)
from ._machines import (
    alone_in_folders as alone_in_folders,
    failing_together as failing_together,
    launched_processes as launched_processes,
    single_device as single_device,
)
from ._options import (
    EVIDENCE_ARRAYS as EVIDENCE_ARRAYS,
    NONE as NONE,
    ExtractionOptions as ExtractionOptions,
    InputOptions as InputOptions,
    Machines as Machines,
)
from ._other_nets import (
    Unlabelled as Unlabelled,
    extract_auxiliary as extract_auxiliary,
    extract_opinion as extract_opinion,
    summary_of_features as summary_of_features,
)
from ._shards import Batches as Batches, Shards as Shards, plan_shards as plan_shards, run_shards as run_shards
