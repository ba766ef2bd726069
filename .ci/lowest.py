"""Print the lowest version of each library that users are allowed to have, as constraints for pip."""

import tomllib
from pathlib import Path

for folder in (".", "lab"):
    path = Path(__file__).parents[1] / folder / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
    extras = project.get("optional-dependencies", {})
    for lines in (project["dependencies"], *(extras[name] for name in extras if name not in ("dev", "docs"))):
        for line in lines:
            name, is_bounded, version = line.partition(">=")
            if is_bounded:
                print(f"{name.partition('[')[0]}=={version.partition(',')[0]}")
