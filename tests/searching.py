"""How many examples a random search draws."""

from __future__ import annotations

from hypothesis import settings

PROFILES = {"thorough": 100, "quick": 10}
"""Hypothesis profile -> examples of a search that does not say how many it wants."""


def examples(thorough: int) -> int:
    """So many under the thorough profile, else as much less as the profile says, but two."""
    return max(2, thorough * settings().max_examples // PROFILES["thorough"])
