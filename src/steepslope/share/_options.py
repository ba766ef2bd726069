"""What can be chosen about signatures of gates that are loaded."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SignatureOptions:
    """Whose signature a gate must have.

    Parameters
    ----------
    require_signature
        File of public keys (Ed25519, PEM). Several can be given, and a file can hold several keys. Only what was signed
        (command sign) with the private key of one of them is loaded. By default, no signature is checked.
    """

    require_signature: tuple[str, ...] | None = None  # an empty list is refused: it is no wish to trust everybody

    def verified(self, gate: str) -> AbstractContextManager[str]:
        """Give a block what to load in place of a gate: itself, or a copy whose signature was checked.

        See :func:`steepslope.share.verified`.
        """
        if self.require_signature is None:
            return nullcontext(gate)
        from steepslope.share._signatures import verified

        return verified(gate, self.require_signature)


ANYBODY = SignatureOptions()
