"""Helpers shared by several test folders."""

from pathlib import Path

ROOT = Path(__file__).parents[2]
