"""The root of the repository on sys.path, for `import loadgen`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))
