"""A program of its own: says as JSON which version of each named package its Python has.

    python versions.py NAME …

It runs under the Python of an old arm, so it needs the standard library alone.
"""

from __future__ import annotations

import importlib.metadata
import json
import platform
import sys


def main() -> None:
    found = {}
    for name in sys.argv[1:]:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    print(json.dumps({**found, "Python": platform.python_version()}))


if __name__ == "__main__":
    main()
