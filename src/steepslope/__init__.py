"""Tell which predictions of a frozen classifier to trust.

The names below load on first use, so importing the package is quick. Besides the packages there are ``losses`` with the
losses of oracles, their parameters and limits, ``theory`` with closed forms about them, ``heads`` with an oracle's last
step to the trust logit, and ``errors`` with errors of one line and the allowed values of settings.
"""

import lazy_loader

__version__ = "0.3.0"
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
