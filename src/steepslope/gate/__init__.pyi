from .gate import Gate as Gate
