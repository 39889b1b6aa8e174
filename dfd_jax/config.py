"""The type of a run's settings."""

from typing import Any

Config = Any  # an ml_collections.ConfigDict: its fields have no types that a checker could know
