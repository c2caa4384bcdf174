"""Puts the Python-based backends' shared package on the path, as each backend does for itself."""

from __future__ import annotations

import sys

from plansmith import places

sys.path.append(str(places.backends() / "shared"))
