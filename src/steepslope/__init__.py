"""Tell which predictions of a frozen classifier to trust.

The names below load on first use, so that importing the package stays quick.
"""

import lazy_loader

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
