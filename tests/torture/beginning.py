"""What tests of torture say of where they run."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from supervisor import Supervisor

Begin = Callable[..., Supervisor]

#: for tests that run on each kind of database
EVERYWHERE = pytest.mark.parametrize("place", ["postgresql", "mysql"], indirect=True)
