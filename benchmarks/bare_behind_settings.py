"""The site's own settings, with the bare view in the place of its pages: what all that stands before a view costs."""

from prakerja.settings import *  # noqa: F403

ROOT_URLCONF = "benchmarks.bare"
