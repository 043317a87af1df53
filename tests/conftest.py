"""What all tests share."""

from __future__ import annotations

from hypothesis import settings

# A loaded machine is slow, not wrong: no test fails on time.
settings.register_profile("lateint", deadline=None)
settings.load_profile("lateint")
