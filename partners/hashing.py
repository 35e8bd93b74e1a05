"""How partners' credentials are kept: drawn at random, they need no slow hash, which would only make asking for tokens dear."""

from typing import Any

from django.contrib.auth.hashers import BasePasswordHasher
from django.utils.crypto import constant_time_compare

from foundation.sealing import mac


class DrawnSecretHasher(BasePasswordHasher):
    """A keyed digest of a secret with more than 128 bits of its own: not for what people choose."""

    algorithm = "drawn"

    def salt(self) -> str:
        return "none"

    def encode(self, password: str, salt: str) -> str:
        return f"{self.algorithm}${mac('partners.client', password.encode(errors='replace')).hex()}"

    def decode(self, encoded: str) -> dict[str, Any]:
        algorithm, _, hash = encoded.partition("$")
        return {"algorithm": algorithm, "hash": hash, "salt": self.salt()}

    def verify(self, password: str, encoded: str) -> bool:
        return constant_time_compare(encoded, self.encode(password, self.salt()))

    def safe_summary(self, encoded: str) -> Any:
        return {"algorithm": self.algorithm}

    def must_update(self, encoded: str) -> bool:
        return False

    def harden_runtime(self, password: str, encoded: str) -> None:
        pass
