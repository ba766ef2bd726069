"""Print the lowest version of each library that pyproject.toml allows users to have, as constraints for pip."""

import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
extras = project["optional-dependencies"]
for lines in (project["dependencies"], *(extras[name] for name in extras if name not in ("dev", "docs"))):
    for line in lines:
        name, is_bounded, version = line.partition(">=")
        if is_bounded:
            print(f"{name.partition('[')[0]}=={version.partition(',')[0]}")
