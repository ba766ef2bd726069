"""A gate behind HTTP: the Open Inference Protocol V2 as JSON, and decisions on single images.

``_limits``: what a server refuses, and how long it waits. ``_served``: a model behind the server, and an exported file
as one, without torch. ``_gate_folder``: a gate with its nets. ``_protocol``: the bodies of the protocol, to arrays and
back. ``_capacity``: what the server can hold at once. ``_bodies``: bodies of requests, read and decoded. ``_batching``:
what arrives while the model runs is run together. ``_answer_inputs``: a class and a confidence a row, to arrays.
``_app``: all routes, what they answer, and what holds for every request. ``_metrics``: what Prometheus reads.
``_monitoring``: a monitor that sees every decision. ``_decision_log``: a file of all decisions by the ids of their
requests. ``_logs``: lines on standard error. ``_server``: the process, from the socket to the last answer.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
