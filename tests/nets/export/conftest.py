"""Exports in tests read the exporter's own functions once, and not for each file."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import pytest
from torch.onnx._internal import _lazy_import


@pytest.fixture(scope="session", autouse=True)
def one_registry() -> Iterator[None]:
    """Parse the sources of the exporter's 500 functions once: they take as long as a small file."""
    with pytest.MonkeyPatch.context() as patch:
        apis = vars(_lazy_import)["onnxscript_apis"]
        patch.setattr(apis, "get_torchlib_ops", cache(apis.get_torchlib_ops))
        yield
