"""The limits of a server, as the page on serving tells them: what it refuses, and how long it waits."""

MAX_ROWS = 1024  # of one request
MAX_BODY = 32 << 20  # bytes
MAX_JSON = 8 << 20  # bytes; reading it holds up all other requests
MAX_PIXELS = 32_000_000  # of an image; larger ones are refused before they are decoded
MAX_WAITING = 256  # requests under way at once
MAX_WAIT = 30  # seconds; a request that would wait longer for its answer is refused
MAX_MEMORY = 2 << 30  # bytes of all bodies and decoded images, where so much is free; the model takes more
LEAST_MEMORY = 64 << 20  # likewise; with less, no server starts
MAX_CONNECTIONS = 1024
BODY_SECONDS = 30  # within which a request's headers, and then its body, have to arrive
DRAIN_SECONDS = 0.5  # without a request, after which a server that was told to stop accepts no more connections
STOP_SECONDS = 60.0  # within which a server that was told to stop answers what it has accepted
STATE_SECONDS = 8.0  # within which it then writes the monitor's state, which another process may hold
