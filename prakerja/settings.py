"""Settings, all from the environment; without any, everything runs as a demo with mock services and made-up people.

`PRODUCTION=1` asks for real keys and real services and refuses to start without them (`foundation.checks`).
"""

import base64
import json
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.utils.translation import gettext_lazy as _

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

#: Everything that running leaves behind, outside production; ignored by git, forgotten by `make clean`.
STATE_DIR = Path(env.str("PRAKERJA_STATE", default="") or BASE_DIR / ".state")

PRODUCTION = env.bool("PRODUCTION", default=False)
DEBUG = env.bool("DEBUG", default=False)
#: Mock mailbox and phone under /mock/, and a banner that says so.
DEMO = not PRODUCTION and env.bool("DEMO", default=True)
#: Partners try their programs here: it tells what they should have signed. Never with real people, whoever asks for it.
SANDBOX_WANTED = env.bool("SANDBOX", default=DEMO)
SANDBOX = SANDBOX_WANTED and not PRODUCTION


def _made_up_keys() -> dict[str, str]:
    """Keys for a demo or a developer's machine: drawn once, kept in the state folder."""
    path = STATE_DIR / "keys.json"
    if not path.exists():
        keys = [base64.b64encode(secrets.token_bytes(32)).decode() for _ in range(3)]
        STATE_DIR.mkdir(exist_ok=True)
        draft = path.with_suffix(f".{secrets.token_hex(4)}")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps({"SECRET_KEY": keys[0], "SEALING_KEYS": f"1:{keys[1]}", "DIGEST_KEY": keys[2]}))
        with suppress(FileExistsError):  # whoever comes first wins; all others read the winner's
            path.hardlink_to(draft)
        draft.unlink()
    made_up: dict[str, str] = json.loads(path.read_text())
    return made_up


_keys: dict[str, str] = {name: env.str(name, default="") for name in ("SECRET_KEY", "SEALING_KEYS", "DIGEST_KEY")}
if not PRODUCTION and not all(_keys.values()):
    _keys = {name: _keys[name] or made_up for name, made_up in _made_up_keys().items()}
SECRET_KEY = _keys["SECRET_KEY"]
#: `id:base64,id:base64`, 32 bytes each; the first one seals. Rotation: put the new one first, keep the old one behind it.
SEALING_KEYS = _keys["SEALING_KEYS"]
#: base64, 32 bytes: digests by which sealed data is found, one-time codes, mailed links.
DIGEST_KEY = _keys["DIGEST_KEY"]

#: `id:base64,id:base64`, 32 bytes each: Ed25519 keys of decrees; the first one signs.
DECREE_KEYS = env.str("DECREE_KEYS", default="")

ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])
#: Where mailed links lead to.
BASE_URL = env.str("BASE_URL", default="http://127.0.0.1:8000").rstrip("/")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.postgres",
    "django.contrib.staticfiles",
    "django.forms",
    "csp",
    "rest_framework",
    "oauth2_provider",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "foundation",
    "partners",
    "registrations",
    "waves",
    "trainings",
    "verification",
    "incentives",
    "prakerja",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "partners.middleware.for_the_api",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "prakerja.middleware.chosen_language",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "prakerja.middleware.database_down",
]

ROOT_URLCONF = "prakerja.urls"
WSGI_APPLICATION = "prakerja.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "prakerja.middleware.site",
            ],
            "builtins": ["django.templatetags.i18n", "django.templatetags.static", "prakerja.templatetags.numbers"],
        },
    }
]
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

#: A claim (see foundation/work.py) whose worker has not settled after this is given to another, in seconds. Longer than any
#: batch of calls (25 s, see foundation/http.py), and with the sweep behind it less than a minute from a worker's death to its next.
LEASE_SECONDS = env.float("LEASE_SECONDS", default=30.0)

DATABASES: dict[str, dict[str, Any]] = {
    "default": {
        **env.db_url("DATABASE_URL", default="postgres://prakerja@127.0.0.1/prakerja"),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
#: When the network falls silent, both ends give each other up within half a minute: a worker tries again, and the database
#: lets go of what a host that is cut off had locked, before its lease is over. Without these, it would take two hours.
DATABASES["default"]["OPTIONS"] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "options": " ".join(
        f"-c {name}={value}"
        for name, value in {
            "idle_in_transaction_session_timeout": f"{LEASE_SECONDS / 2 * 1000:.0f}ms",
            "tcp_keepalives_idle": 10,
            "tcp_keepalives_interval": 5,
            "tcp_keepalives_count": 3,
            "tcp_user_timeout": "15s",
        }.items()
    ),
    **DATABASES["default"].get("OPTIONS", {}),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

#: Celery's broker; it holds hints only and may be erased at any moment.
REDIS_URL = env.str("REDIS_URL", default="redis://127.0.0.1:6379/0")

#: The last one is for what is drawn, not chosen: partners' credentials.
PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2SHA1PasswordHasher",
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.BCryptSHA256PasswordHasher",
    "django.contrib.auth.hashers.ScryptPasswordHasher",
    "partners.hashing.DrawnSecretHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "office_login"
LOGIN_REDIRECT_URL = "office_funnel"
LOGOUT_REDIRECT_URL = "office_login"

SESSION_COOKIE_AGE = 12 * 3600
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = LANGUAGE_COOKIE_SAMESITE = "Lax"
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_REDIRECT_EXEMPT = [r"^healthz$"]
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = PRODUCTION
#: Links carry tokens: no address of ours is told to anybody.
SECURE_REFERRER_POLICY = "same-origin"
if env.bool("BEHIND_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        "object-src": [NONE],
        "base-uri": [NONE],
        "form-action": [SELF],
        "frame-ancestors": [NONE],
    }
}
#: A sign-up form is small: anything larger is refused before it is parsed.
DATA_UPLOAD_MAX_MEMORY_SIZE = 256 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 100

LANGUAGE_CODE = "id"
LANGUAGES = [("id", _("Indonesian")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = USE_TZ = USE_THOUSAND_SEPARATOR = True
TIME_ZONE = "Asia/Jakarta"

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", default=str(BASE_DIR / "staticfiles"))
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "prakerja.static.Storage"},
}
WHITENOISE_USE_FINDERS = not PRODUCTION

# The partners' API: see docs/partners.md. An endpoint that says nothing is open to nobody.

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["partners.auth.Bearer"],
    "DEFAULT_PERMISSION_CLASSES": ["partners.auth.Denied"],
    "DEFAULT_THROTTLE_CLASSES": ["partners.limits.PerCaller"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["partners.parsing.StrictJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "partners.negotiation.OneAnswer",
    "DEFAULT_SCHEMA_CLASS": "partners.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "partners.problems.handler",
    "NUM_PROXIES": 1 if env.bool("BEHIND_PROXY", default=False) else 0,
}
OAUTH2_PROVIDER_APPLICATION_MODEL = "partners.Client"
OAUTH2_PROVIDER = {
    "SCOPES_BACKEND_CLASS": "partners.scopes.ClientScopes",
    "OAUTH2_SERVER_CLASS": "oauthlib.oauth2.BackendApplicationServer",
    "OAUTH2_VALIDATOR_CLASS": "partners.tokens.Validator",
    "ACCESS_TOKEN_EXPIRE_SECONDS": 3600,
    "CLIENT_SECRET_HASHER": "drawn",
    "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
    "COMPLIANT_BCP_RFC9700_ACCESS_TOKEN_TRANSPORT": True,
    "COMPLIANT_BCP_RFC9700_PASSWORD_GRANT": True,
    "COMPLIANT_BCP_RFC9700_IMPLICIT_GRANT": True,
    # Of ways to a token that are not open at all.
    "COMPLIANT_BCP_RFC9700_PKCE_METHOD": True,
    "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": True,
    "REFRESH_TOKEN_REUSE_PROTECTION": True,
    "ALLOWED_REDIRECT_URI_SCHEMES": ["https"],
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Kartu Prakerja: the partners' API",
    "DESCRIPTION": "For platforms, training providers and payers.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "PREPROCESSING_HOOKS": ["partners.schema.of_the_api_only"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [],  # the words that a field may hold stand at the field
}
#: Calls a minute: of a partner, and of an address that has not said who it is.
PARTNER_RATE = env.int("PARTNER_RATE", default=6000)
STRANGER_RATE = env.int("STRANGER_RATE", default=300)

# Services: see docs/services.md for how to plug in one's own.

SERVICES: dict[str, dict[str, Any]] = {
    "dukcapil": {"BACKEND": "verification.dukcapil.MockDukcapil"},
    "email": {"BACKEND": "foundation.email.MockEmail"},
    "sms": {"BACKEND": "foundation.sms.MockSms"},
}
for _name, _backend in {
    "dukcapil": "verification.dukcapil.HttpDukcapil",
    "email": "foundation.email.HttpEmail",
    "sms": "foundation.sms.HttpSms",
}.items():
    if _url := env.str(f"{_name.upper()}_URL", default=""):
        SERVICES[_name] = {
            "BACKEND": _backend,
            "OPTIONS": {"url": _url, "key": env.str(f"{_name.upper()}_KEY", default="")},
            "RATE": env.float(f"{_name.upper()}_RATE", default=0) or None,
        }
if _url := env.str("SMS_2_URL", default=""):
    # A second provider stands in for the first one when that one is ill (docs/services.md).
    _providers = [
        SERVICES["sms"],
        {
            "BACKEND": "foundation.sms.HttpSms",
            "OPTIONS": {"url": _url, "key": env.str("SMS_2_KEY", default="")},
            "RATE": env.float("SMS_2_RATE", default=0) or None,
        },
    ]
    _rates = [provider.get("RATE") for provider in _providers]
    SERVICES["sms"] = {
        "BACKEND": "foundation.failover.Failover",
        "OPTIONS": {"providers": _providers},
        "RATE": sum(_rates) if all(_rates) else None,
    }
for _payer in ("bni", "bri", "mandiri", "ovo", "linkaja", "gopay", "dana"):
    SERVICES[f"payout_{_payer}"] = {"BACKEND": "incentives.payout.MockPayer"}
    if _url := env.str(f"PAYOUT_{_payer.upper()}_URL", default=""):
        SERVICES[f"payout_{_payer}"] = {
            "BACKEND": "incentives.payout.HttpPayer",
            "OPTIONS": {"url": _url, "key": env.str(f"PAYOUT_{_payer.upper()}_KEY", default="")},
            "RATE": env.float(f"PAYOUT_{_payer.upper()}_RATE", default=0) or None,
        }
SERVICES["randomness"] = {"BACKEND": "waves.randomness.MockBeacon"}
if PRODUCTION or env.str("RANDOMNESS_URL", default=""):
    _url = env.str("RANDOMNESS_URL", default="https://api.drand.sh")
    SERVICES["randomness"] = {"BACKEND": "waves.randomness.Drand", "OPTIONS": {"url": _url}}
#: Where the files of published draws lie; web and workers share it.
PUBLISHED = Path(env.str("PUBLISHED", default=str(STATE_DIR / "published")))
#: What SMS providers sign their delivery receipts with: base64, with or without `whsec_`; two while one replaces the other.
#: Without any, no receipts are taken and none are waited for.
SMS_RECEIPT_SECRETS = env.list("SMS_RECEIPT_SECRETS", default=[])
if _smtp := env.str("SMTP_URL", default=""):
    # An SMTP server through Django's own back end, e.g. `smtp+tls://user:password@host:587`.
    _mail = env.email_url_config(_smtp)
    SERVICES["email"] = {
        "BACKEND": "foundation.email.DjangoEmail",
        "OPTIONS": {
            "backend": _mail["EMAIL_BACKEND"],
            "host": _mail["EMAIL_HOST"],
            "port": _mail["EMAIL_PORT"],
            "username": _mail["EMAIL_HOST_USER"],
            "password": _mail["EMAIL_HOST_PASSWORD"],
            "use_tls": _mail.get("EMAIL_USE_TLS", False),
            "use_ssl": _mail.get("EMAIL_USE_SSL", False),
        },
        # One by one: no more than a server takes within a lease.
        "RATE": env.float("SMTP_RATE", default=20.0),
    }
DEFAULT_FROM_EMAIL = env.str("DEFAULT_FROM_EMAIL", default="Kartu Prakerja <info@prakerja.example>")

# The pipeline: see foundation/work.py.

#: How many people a worker takes in hand at once.
BATCH_SIZE = env.int("BATCH_SIZE", default=2000)
#: Whether workers are told at once of new work; without, they find it when the sweeper comes by.
HINTS = env.bool("HINTS", default=True)

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 120,
    "unacked_restore_throttle": 1,
    # Who sends a hint must not wait long for a broker that swallows it; workers wait longer (`prakerja.celery`).
    "socket_timeout": 3,
    "socket_connect_timeout": 2,
    "health_check_interval": 25,
    "max_retries": 1,
}
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 1000
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_TIME_LIMIT = 300
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE: dict[str, dict[str, Any]] = {
    "sweep": {"task": "work.sweep", "schedule": 10.0, "options": {"expires": 10}},
    "fold": {"task": "funnel.fold", "schedule": 5.0, "options": {"expires": 5}},
    "forget drafts": {"task": "drafts.forget", "schedule": 3600.0, "options": {"expires": 3600}},
    "carry out": {"task": "draws.carry_out", "schedule": 10.0, "options": {"expires": 10}},
    "write draws": {"task": "draws.write", "schedule": 60.0, "options": {"expires": 60}},
    "warn": {"task": "recipients.warn", "schedule": 600.0, "options": {"expires": 600}},
    "revoke": {"task": "recipients.revoke", "schedule": 30.0, "options": {"expires": 30}},
    "return balances": {"task": "balances.return", "schedule": 600.0, "options": {"expires": 600}},
    "forget tokens": {"task": "tokens.forget", "schedule": 3600.0, "options": {"expires": 3600}},
    "fold incentives": {"task": "incentives.fold", "schedule": 5.0, "options": {"expires": 5}},
    "account changes": {"task": "incentives.changes", "schedule": 60.0, "options": {"expires": 60}},
    # Among the work that a simulation keeps for itself until it is over: its accounts are old by our clock.
    "account checks": {"task": "incentives.recheck", "schedule": 600.0, "options": {"queue": "gates", "expires": 600}},
    "forget sign-in links": {"task": "sign_in_links.forget", "schedule": 3600.0, "options": {"expires": 3600}},
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING")},
}
