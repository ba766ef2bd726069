"""A gate behind HTTP: the Open Inference Protocol V2 as JSON, and decisions on single images.

``limits``: what a server refuses, and how long it waits. ``served``: a model behind the server, and an exported file
as one, without torch. ``gate_folder``: a gate with its nets. ``protocol``: the bodies of the protocol, to arrays and
back. ``capacity``: what the server can hold at once. ``bodies``: bodies of requests, read and decoded. ``batching``:
what arrives while the model runs is run together. ``answer_inputs``: a class and a confidence a row, to arrays.
``app``: all routes, what they answer, and what holds for every request. ``metrics``: what Prometheus reads.
``monitoring``: a monitor that sees every decision. ``decision_log``: a file of all decisions by the ids of their
requests. ``logs``: lines on standard error. ``server``: the process, from the socket to the last answer.
"""

import lazy_loader

__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)
__all__: list[str] = []
