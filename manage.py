#!/usr/bin/env python
"""Django's command line. Without DATABASE_URL it runs on embedded servers, which it starts and stops by itself."""

import atexit
import os
import signal
import sys

from prakerja.embedded.servers import EmbeddedError, Servers

#: Commands that ask no database anything: no server is started for them.
WITHOUT_DATABASE = {
    "help",
    "--help",
    "-h",
    "version",
    "--version",
    "makemessages",
    "compilemessages",
    "collectstatic",
    "mockservices",
}


def use_embedded_servers() -> None:
    """Point the settings to the embedded servers, and have these run until this process ends."""
    servers = Servers()
    os.environ["DATABASE_URL"] = servers.database_url
    os.environ.setdefault("REDIS_URL", servers.redis_url)
    if len(sys.argv) < 2 or sys.argv[1] in WITHOUT_DATABASE:
        return
    # Registered before the start, so that an interrupted one leaves nothing behind either.
    atexit.register(servers.release)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        servers.start()
    except EmbeddedError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def main() -> None:
    """Run a management command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "prakerja.settings")
    if not os.environ.get("DATABASE_URL") and os.environ.get("PRODUCTION", "0") in ("", "0"):
        use_embedded_servers()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
