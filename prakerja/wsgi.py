"""What gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from prakerja.ready import refuse_to_start_unready

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "prakerja.settings")

application = get_wsgi_application()
refuse_to_start_unready()
