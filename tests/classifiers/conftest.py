"""A folder of images that the tests of classifiers read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.images import folder_of


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write eight small images of each of three classes."""
    return folder_of(tmp_path_factory.mktemp("images") / "data", 8)
