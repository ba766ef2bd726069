from .monitor import Monitor as Monitor
