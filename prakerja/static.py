"""Static files: hashed names, compressed, served by the web process itself."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):
    #: A file that was not collected is served under its plain name: tests and a fresh checkout need no collecting.
    manifest_strict = False
