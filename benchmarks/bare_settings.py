"""The least of settings under which Django inserts a row: no middleware, and the site's own database and connections."""

from prakerja.settings import ALLOWED_HOSTS, DATABASES, DEFAULT_AUTO_FIELD, SECRET_KEY, USE_TZ

__all__ = ["ALLOWED_HOSTS", "DATABASES", "DEFAULT_AUTO_FIELD", "SECRET_KEY", "USE_TZ"]

INSTALLED_APPS = ["foundation"]
MIDDLEWARE: list[str] = []
ROOT_URLCONF = "benchmarks.bare"
