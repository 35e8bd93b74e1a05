"""What gunicorn serves."""

import os

from django.core.management import call_command
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "prakerja.settings")

application = get_wsgi_application()
# gunicorn does not run Django's checks itself; production must not start with mock services or made-up keys.
call_command("check", "--deploy", "--fail-level", "ERROR", verbosity=0)
