from .intervals import compare as compare, evaluate as evaluate
from .measures import (
    METRICS as METRICS,
    accuracy as accuracy,
    augrc as augrc,
    aupr_error as aupr_error,
    aupr_success as aupr_success,
    aurc as aurc,
    auroc as auroc,
    average_kl as average_kl,
    bhattacharyya_distance as bhattacharyya_distance,
    e_aurc as e_aurc,
    fpr_at_tpr as fpr_at_tpr,
    naurc as naurc,
    tnr as tnr,
    tpr as tpr,
)
from .selective import (
    coverage_at_risk as coverage_at_risk,
    risk_at_coverage as risk_at_coverage,
    risk_coverage_curve as risk_coverage_curve,
)
