"""`python -m prakerja.embedded status|stop|clean`: look at, stop or remove the embedded servers."""

import argparse

from .servers import EmbeddedError, Servers


def main() -> None:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(prog="python -m prakerja.embedded", description=__doc__)
    parser.add_argument("act", choices=["status", "stop", "clean"])
    servers = Servers()
    try:
        match parser.parse_args().act:
            case "status":
                for title, pid in servers.running().items():
                    print(f"{title}: {f'runs as process {pid}' if pid else 'is down'}")
            case "stop":
                servers.stop_all()
            case "clean":
                servers.destroy()
    except EmbeddedError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
