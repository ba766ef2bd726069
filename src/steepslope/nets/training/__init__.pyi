# What the package lends to the others. What is public, __all__ names.
from ._columns import OracleNet as OracleNet, fit_oracle_net as fit_oracle_net
from ._images import (
    ImageFinder as ImageFinder,
    data_spec_of_outputs as data_spec_of_outputs,
    open_images_of_outputs as open_images_of_outputs,
)
from ._launch import (
    costs_of_stages as costs_of_stages,
    stages_of_request as stages_of_request,
    train_stages as train_stages,
)
from ._loading import CODE as CODE, load_oracle as load_oracle
from ._loop import finetune as finetune
from ._on_images import ImageOracle as ImageOracle
from ._prepare import prepare_training as prepare_training
from ._recipes import training_recipes as training_recipes
from ._request import FinetuneRequest as FinetuneRequest
from ._sources import fit_set_to_train_on as fit_set_to_train_on
