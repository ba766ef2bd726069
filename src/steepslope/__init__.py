"""Tell which predictions of a frozen classifier to trust.

The names below load on first use, so that importing the package stays quick. Beside the packages, ``losses`` has the
losses of oracles, their options and limits, ``theory`` what can be shown of them with pen and paper, ``heads`` an
oracle's last step, to one trust logit, ``errors`` errors of one line, and ``checks`` the limits of settings.
"""

import lazy_loader

__version__ = "0.2.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
