"""What can be chosen about sharing: who may read it, what it holds, and its license."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ShareOptions:
    """Who can read what is shared, how much of the calibration rows it has, and its license.

    Parameters
    ----------
    public
        Make the repository public, or upload to a public one. Without this option, a new repository is private, and a
        public one is refused.
    for_monitor
        Also share what a gate keeps of each calibration row: P(correct), the classifier's probability, the predicted
        and the true class, whether it is accepted. Without these, monitor needs --calibration.
    license
        License of what is shared, as the Hub names it, such as apache-2.0.
    """

    public: bool = False
    for_monitor: bool = False
    license: str | None = None
