#!/usr/bin/env python3
"""Run the programme's own client examples, in each of their languages that is installed here, against a server of ours.

    python3 tools/try_older_clients.py CHECKOUT --server http://127.0.0.1:8000 --client-code tokopedia --key KEY CODE...

CHECKOUT is a copy of github.com/prakerja-dev/example-api-redeem-course, whose code has no licence and is no part of this project.
In a copy of it the server's address is put in, and the three values that the examples leave empty; nothing else is changed. Each
language asks about a redeem code of its own, one CODE each, uses it and asks again. Exits 0 when every answer is the right one.

Needs Python 3.11. For Node.js, `npm install` in CHECKOUT/nodejs; for Python, requests; for PHP, curl's extension.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ADDRESS = "https://api-ssn.prakerja.go.id"
EMPTY = re.compile(r"""\b(client_code|redeem_code|key)(\s*:?=\s*)(["'])\3""")
#: Folder and command; `{act}` is `status` or `commit`.
LANGUAGES = {
    "Python": ("python", [sys.executable, "example-redeem-code-{act}.py"]),
    "JavaScript": ("nodejs", ["node", "example-redeem-code-{act}.js"]),
    "PHP": ("php", ["php", "example-redeem-code-{act}.php"]),
    # They use a name that Ruby's OpenSSL had until version 3.
    "Ruby": (
        "ruby",
        ["ruby", "-ropenssl", "-e", "module OpenSSL; Digest::Digest = Digest; end; load 'example-redeem-code-{act}.rb'"],
    ),
    "Java": ("java", ["java", "ExampleRedeemCode{Act}.java"]),
    "Go": ("go", ["go", "run", "example-redeem-code-{act}.go"]),
    "C#": ("dotnet", ["dotnet", "run", "--project", "redeem-code-{act}"]),
}
#: What each language does, and what is to be in the answer: success, and whether the code is used.
ACTS = (("status", "true", "0"), ("commit", "true", "1"), ("status", "true", "1"))
#: In an answer as it came, or as Node.js shows an object.
SAID = re.compile(r"""\bsuccess"?: ?(true|false)|\bstatus"?: ?(\d)""")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--server", required=True)
    parser.add_argument("--client-code", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("codes", nargs="+", metavar="CODE")
    arguments = parser.parse_args()
    here = {name: how for name, how in LANGUAGES.items() if shutil.which(how[1][0])}
    if missing := LANGUAGES.keys() - here:
        print("Not installed:", ", ".join(sorted(missing)))
    if len(arguments.codes) < len(here):
        parser.error(f"{len(here)} redeem codes are needed, one for each language")
    values = {"client_code": arguments.client_code, "key": arguments.key}
    wrong = 0
    for (name, (folder, command)), code in zip(here.items(), arguments.codes, strict=False):
        with tempfile.TemporaryDirectory() as copy:
            place = Path(shutil.copytree(arguments.checkout / folder, Path(copy) / folder))
            _fill_in(place, arguments.server, values | {"redeem_code": code})
            for act, *wanted in ACTS:
                wrong += not _run(name, act, [part.format(act=act, Act=act.title()) for part in command], place, wanted)
    return 1 if wrong else 0


def _fill_in(place: Path, server: str, values: dict[str, str]) -> None:
    for path in place.rglob("*"):
        if path.suffix in {".py", ".js", ".php", ".rb", ".java", ".go", ".cs"} and "node_modules" not in path.parts:
            text = path.read_text(encoding="utf-8").replace(ADDRESS, server)
            path.write_text(EMPTY.sub(lambda found: f"{found[1]}{found[2]}{found[3]}{values[found[1]]}{found[3]}", text))


def _run(name: str, act: str, command: list[str], place: Path, wanted: list[str]) -> bool:
    """Whether the program was answered as it should be."""
    said = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    found = [one or other for one, other in SAID.findall(said.stdout)]
    print(f"{name:<11}{act:<7} {'right' if found == wanted else 'WRONG'}", flush=True)
    if found != wanted:
        print(said.stdout[-2000:], said.stderr[-2000:], sep="\n")
    return found == wanted


if __name__ == "__main__":
    sys.exit(main())
