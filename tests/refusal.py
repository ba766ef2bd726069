"""What is refused is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from steepslope.errors import SteepslopeError


def refusal(call: Callable[..., Any], *arguments: Any, **named: Any) -> str:
    """Return the one line with which a call is refused."""
    with pytest.raises(SteepslopeError) as caught:
        call(*arguments, **named)
    assert "\n" not in str(caught.value)
    return str(caught.value)
