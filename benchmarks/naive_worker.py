"""What the naive chain's worker loads: Django first."""

import django

django.setup()

from benchmarks.naive import app  # noqa: E402

__all__ = ["app"]
