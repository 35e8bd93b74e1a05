"""Static files: hashed names, compressed, served by the web process itself."""

from whitenoise.storage import CompressedManifestStaticFilesStorage


class Storage(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """As whitenoise's, but files that were not collected go by their plain names: tests need no collecting."""

    manifest_strict = False

    def stored_name(self, name: str) -> str:
        return self.hashed_files.get(self.hash_key(name), name)  # type: ignore[no-any-return]
