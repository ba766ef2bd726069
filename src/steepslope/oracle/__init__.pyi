# What the package lends to the others. What is public, __all__ names.
from ._answer_scale import on_answer_scales as on_answer_scales
from ._base import (
    FEW_ERRORS as FEW_ERRORS,
    BaseOracle as BaseOracle,
    FitRecord as FitRecord,
    loss_of_settings as loss_of_settings,
    require_errors as require_errors,
)
from ._cautions import (
    RowCounts as RowCounts,
    caution_on_errors as caution_on_errors,
    cautions_on_better_opinions as cautions_on_better_opinions,
    cautions_on_other_opinions as cautions_on_other_opinions,
)
from ._column_net import PIECE_ROWS as PIECE_ROWS, FitRows as FitRows
from ._columns import Oracle as Oracle
from ._fused import FusedOracle as FusedOracle
from ._fused_fit import FusedFit as FusedFit
from ._handover import NOISE as NOISE, FeatureHandover as FeatureHandover, mixed_by_handovers as mixed_by_handovers
from ._pooling import Pool as Pool
from ._settings import (
    Budget as Budget,
    ColumnSettings as ColumnSettings,
    FusedSettings as FusedSettings,
    LossOptions as LossOptions,
    OracleSettings as OracleSettings,
)
from ._storage import (
    CARD as CARD,
    IMAGES as IMAGES,
    ORACLE as ORACLE,
    WEIGHTS as WEIGHTS,
    classes_of_oracle as classes_of_oracle,
    is_image_oracle as is_image_oracle,
    is_oracle as is_oracle,
    names_oracle as names_oracle,
    read_oracle_card as read_oracle_card,
    signals_of_oracle as signals_of_oracle,
)
