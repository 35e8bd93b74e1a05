"""Tell whether the Indonesian catalogue says all that the screens say: complete, current, and compiled.

Exits with 1 and one line per fault. The messages are collected in a copy, so nothing here is changed.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polib  # type: ignore[import-untyped]

ROOT = Path(__file__).resolve().parent.parent
FOLDER = Path("locale/id/LC_MESSAGES")
#: Holds no text of a screen; the catalogue itself is collected afresh.
LEFT_OUT = (".*", "__pycache__", "build", "locale", "node_modules", "staticfiles", "tests")
#: Django's placeholders: %(name)s, %s and {name}.
PLACEHOLDER = re.compile(r"%(?:\(\w+\))?[a-z]|\{\w*\}")
COLLECT = ["-m", "django", "makemessages", "--locale=id", "--no-location", "--no-wrap", "--verbosity=0"]
INSTALL = "apt-get update -qq && apt-get install -y -qq --no-install-recommends gettext > /dev/null"

Key = tuple[str | None, str, str]


def main() -> int:
    if not shutil.which("xgettext") and not _install():
        sys.exit("Checking the translations needs xgettext: install GNU gettext (Debian: apt-get install gettext).")
    faults = list(_faults(_entries(_collected()), polib.pofile(str(ROOT / FOLDER / "django.po"))))
    print("\n".join(faults) or "The translations are complete and compiled.")
    return 1 if faults else 0


def _install() -> bool:
    """Install GNU gettext where that is one simple step; tell whether it is there now."""
    if not shutil.which("apt-get") or os.geteuid() != 0:
        return False
    print("Installing gettext to check the translations")
    return subprocess.run(["sh", "-c", INSTALL], env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}).returncode == 0


def _collected() -> polib.POFile:
    """All messages in code and templates. Django reads no settings for this, so neither keys nor servers are asked for."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(*LEFT_OUT))
        (copy / "locale").mkdir()
        command = [sys.executable, *COLLECT]
        plain = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        if subprocess.run(command, cwd=copy, env=plain).returncode != 0:
            sys.exit("The messages could not be collected: see above.")
        return polib.pofile(str(copy / FOLDER / "django.po"))


def _entries(catalogue: polib.POFile | polib.MOFile) -> dict[Key, polib.POEntry | polib.MOEntry]:
    return {(entry.msgctxt, entry.msgid, entry.msgid_plural or ""): entry for entry in catalogue if not entry.obsolete}


def _faults(wanted: dict[Key, polib.POEntry | polib.MOEntry], committed: polib.POFile) -> Iterator[str]:
    """One line for each thing that is wrong with the committed catalogue."""
    known = _entries(committed)
    yield from (f"missing, run makemessages: {key[1]!r}" for key in wanted if key not in known)
    for entry in committed:
        key = (entry.msgctxt, entry.msgid, entry.msgid_plural or "")
        if entry.obsolete or key not in wanted:
            yield f"obsolete, no screen says it: {entry.msgid!r}"
        elif entry.fuzzy:
            yield f"fuzzy, check the translation: {entry.msgid!r}"
        elif not entry.translated():
            yield f"not translated: {entry.msgid!r}"
        for text in filter(None, _texts(entry)):
            if set(PLACEHOLDER.findall(text)) != set(PLACEHOLDER.findall(entry.msgid + entry.msgid_plural)):
                yield f"other placeholders than in {entry.msgid!r}: {text!r}"
    compiled = ROOT / FOLDER / "django.mo"
    said = {key: _texts(entry) for key, entry in known.items() if entry.translated()}
    if not compiled.exists() or said != {key: _texts(entry) for key, entry in _entries(polib.mofile(str(compiled))).items()}:
        yield f"{FOLDER / 'django.mo'} is not what django.po compiles to: run compilemessages"


def _texts(entry: polib.POEntry | polib.MOEntry) -> list[str]:
    return list(entry.msgstr_plural.values()) if entry.msgid_plural else [entry.msgstr]


if __name__ == "__main__":
    sys.exit(main())
