"""Google's part of a caller's token: a key, the tokens signed by it, and where the key is found."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from google.auth import crypt, jwt
from werkzeug import Request, Response

from functions.local.serving import HttpServer

KEY_ID = "key-1"
CALLER = "smartscheduler-caller@green.iam.gserviceaccount.com"


def audience_of(service: str) -> str:
    """Return the address that Cloud Run gives to a service."""
    return f"https://{service}-x7k2lmqp4a-ew.a.run.app"


class TokenSigner:
    """Signs ID tokens as Google does, and serves the public key."""

    def __init__(self) -> None:
        """Make a key."""
        self._key = rsa.generate_private_key(public_exponent=65_537, key_size=2048)
        self.asked = 0
        """How often the key was asked for."""
        self.max_age_s = 3600
        self.status = 200

    @cached_property
    def _signer(self) -> crypt.Signer:
        pem = self._key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
        return crypt.RSASigner.from_string(pem, KEY_ID)  # type: ignore[no-untyped-call, no-any-return]

    def sign(self, service: str = "smartscheduler-stop-vm", **changes: Any) -> str:  # noqa: ANN401
        """Return a token of the caller for a function; a claim of `None` is left out."""
        now_s = int(time.time())
        claims = {
            "iss": "https://accounts.google.com",
            "aud": audience_of(service),
            "email": CALLER,
            "email_verified": True,
            "sub": "113774264463038321964",
            "iat": now_s,
            "exp": now_s + 3600,
        }
        kept = {key: value for key, value in (claims | changes).items() if value is not None}
        return jwt.encode(self._signer, kept).decode()  # type: ignore[no-untyped-call, no-any-return]

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve the public key on loopback and yield the address."""
        public = self._key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )

        @Request.application
        def certs(_: Request) -> Response:
            self.asked += 1
            body = json.dumps({KEY_ID: public.decode()})
            age = f"public, max-age={self.max_age_s}, must-revalidate"
            return Response(body, self.status, {"Cache-Control": age})

        server = HttpServer(certs, name="certs")
        server.start()
        try:
            yield f"{server.url}/certs"
        finally:
            server.stop()
