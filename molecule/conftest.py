"""Makes `yard` importable by the tests of all scenarios."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
