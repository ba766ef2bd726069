"""What can be chosen about sharing: who may read it, and what its card tells."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ShareOptions:
    """Who can read what is shared, and how much of the calibration rows it has.

    Parameters
    ----------
    public
        Make the repository public, or upload to a public one. Without this option, a new repository is private, and a
        public one is refused.
    for_monitor
        Also share what a gate keeps of each calibration row: P(correct), the classifier's probability, the predicted
        and the true class, whether it is accepted. Without these, monitor needs --calibration.
    """

    public: bool = False
    for_monitor: bool = False


@dataclass(frozen=True, kw_only=True)
class CardOptions:
    """What a model card tells of what is shared.

    Parameters
    ----------
    report
        Folder of a report (evaluate, demo), whose numbers the card shows.
    row
        Which score of the report is the shared one; by default the one named like its folder.
    dataset
        Name of the data set that the report is about, for people to read.
    license
        License of what is shared, as the Hub names it, such as apache-2.0.
    """

    report: str | None = None
    row: str | None = None
    dataset: str | None = None
    license: str | None = None
