"""A gate behind HTTP: the Open Inference Protocol V2, and decisions on single images.

``options``: what can be chosen, free of torch and FastAPI. ``served``: what a model behind the server is;
``gate_folder``: a gate with its nets; ``onnx_file``: an exported one, without torch. ``tensors``: the bodies of the
protocol, JSON and binary, to arrays and back; ``schema``: what these bodies are, for checks and documentation.
``pictures``: the body of a request as an image, within limits; ``forms``: the file in a form. ``bodies``: how requests
are admitted and read. ``batching``: what arrives together is run together. ``metrics``: what Prometheus reads, and the
hook of an alarm; ``watching``: a monitor of harm on it. ``app``: the routes; ``answers``: what they answer; ``edge``:
what holds for every request.
``server``: the process, from the socket to the last answer.
"""
