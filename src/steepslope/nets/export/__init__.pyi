# What the package lends to the others. What is public, __all__ names.
from ._agreement import require_agreement as require_agreement
from ._exporting import export_gate as export_gate, exported_from_folder as exported_from_folder
from ._file import (
    COLOUR as COLOUR,
    GREY as GREY,
    IMAGES as IMAGES,
    Arrays as Arrays,
    ArraySpec as ArraySpec,
    ExportedGate as ExportedGate,
    GateCard as GateCard,
    require_fitting_inputs as require_fitting_inputs,
    require_unchanged_onnx as require_unchanged_onnx,
)
from ._graphs import joined_graphs as joined_graphs
from ._nets import LOGITS as LOGITS, net_piece as net_piece, preparing_piece as preparing_piece
