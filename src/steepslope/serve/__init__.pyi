# What the package lends to the others. What is public, __all__ names.
from ._answer_inputs import taking_answers as taking_answers
from ._app import Answers as Answers
from ._decision_log import DecisionLog as DecisionLog
from ._gate_folder import served_gate_folder as served_gate_folder
from ._limits import STATE_SECONDS as STATE_SECONDS
from ._logs import LOGGER as LOGGER, start_server_log as start_server_log
from ._monitoring import ServedMonitor as ServedMonitor
from ._served import Served as Served, served_file as served_file
from ._server import (
    open_server_socket as open_server_socket,
    run_server as run_server,
    server_address as server_address,
)
