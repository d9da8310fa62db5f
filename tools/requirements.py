"""Print the packages that pyproject.toml names, one a line: what `pip install .[dev]` asks for."""

import tomllib
from pathlib import Path

if __name__ == "__main__":
    project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
    print("\n".join([*project["dependencies"], *project["optional-dependencies"]["dev"]]))
