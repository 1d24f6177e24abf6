"""Who calls a function on Google Cloud: the ID token that Cloud Scheduler and Pub/Sub send.

Cloud Run checks the same token before a function sees the request. This is the second lock: it
holds if somebody opens the first one to `allUsers`.
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, cast

from functions.errors import CallerRefusedError, UnavailableError
from functions.settings import GOOGLE_CERTS_URL

if TYPE_CHECKING:
    from google.auth.transport import Request, Response

_ISSUERS = frozenset({"https://accounts.google.com", "accounts.google.com"})
_SKEW_S = 60
"""How far Google's clock may be from ours."""
_TIMEOUT_S = 10.0
_LONGEST_KEPT_S = 86_400
_MAX_AGE = re.compile(r"max-age=(\d+)")
_BEARER = "bearer "
_OK = 200


class GoogleCallerCheck:
    """Admits one service account with a token that is meant for this function."""

    def __init__(self, *, caller: str, service: str, certs_url: str = GOOGLE_CERTS_URL) -> None:
        """Take who may call; nothing is loaded or fetched yet.

        Args:
            caller: e-mail of the service account; empty: nobody is admitted.
            service: the function's name, which the address of its Cloud Run service begins with.
            certs_url: where the public keys are, as JSON from key id to PEM.
        """
        self._caller = caller
        self._service = service
        self._certs_url = certs_url
        # https://NAME-HASH-REGION.a.run.app or https://NAME-NUMBER.REGION.run.app
        self._audience = re.compile(rf"https://{re.escape(service)}-[a-z0-9.-]+\.run\.app/?")

    def admit(self, authorization: str) -> None:
        """Return if the header is the caller's.

        Raises:
            CallerRefusedError: it is not; the message never holds the token.
            UnavailableError: Google's keys cannot be had now.
        """
        if not (self._caller and self._service):
            raise CallerRefusedError(
                "expected SMARTSCHEDULER_CALLER and SMARTSCHEDULER_SERVICE, found nothing there:"
                " nobody is admitted. Apply Terraform again."
            )
        if not authorization.lower().startswith(_BEARER):
            raise CallerRefusedError(
                f"expected an ID token of {self._caller}, found none. {self._advice}"
            )
        claims = self._claims(authorization[len(_BEARER) :].strip())
        problems = [
            f"{name}: expected {expected}, found {str(claims.get(name))[:200]!r}"
            for name, expected, holds in (
                ("iss", "Google", claims.get("iss") in _ISSUERS),
                ("aud", f"the address of {self._service}", self._is_ours(claims.get("aud"))),
                ("email", self._caller, claims.get("email") == self._caller),
                ("email_verified", "true", claims.get("email_verified") is True),
            )
            if not holds
        ]
        if problems:
            raise CallerRefusedError(f"{'; '.join(problems)}. {self._advice}")

    @property
    def _advice(self) -> str:
        return (
            "If this is Cloud Scheduler or Pub/Sub, apply Terraform again; if not, somebody else"
            f" can reach {self._service}: look at who has roles/run.invoker on it."
        )

    def _is_ours(self, audience: object) -> bool:
        return isinstance(audience, str) and self._audience.fullmatch(audience) is not None

    def _claims(self, token: str) -> Mapping[str, Any]:
        from google.auth import exceptions  # noqa: PLC0415 - takes 0.3 s
        from google.oauth2 import id_token  # noqa: PLC0415 - same

        try:
            claims: Mapping[str, Any] = id_token.verify_token(
                token, self._keys, certs_url=self._certs_url, clock_skew_in_seconds=_SKEW_S
            )
        except exceptions.TransportError as error:
            raise UnavailableError(
                f"keys of ID tokens: expected an answer of {self._certs_url}, found: {error}."
                " The request is refused and must come again."
            ) from error
        except (exceptions.GoogleAuthError, ValueError) as error:
            # Its text may hold the token, so it goes no further.
            raise CallerRefusedError(
                f"expected an ID token of {self._caller} signed by Google and valid now, found one"
                f" that is not ({type(error).__name__}). {self._advice}"
            ) from None
        return claims

    @cached_property
    def _keys(self) -> "Request":
        from google.auth.transport.requests import Request  # noqa: PLC0415 - takes 0.3 s

        return cast("Request", _Remembering(Request()))


@dataclass(frozen=True, slots=True)
class _Kept:
    answer: "Response"
    until_s: float


class _Remembering:
    """A transport that asks again once an answer's `max-age` is over, as google-auth advises."""

    def __init__(self, transport: "Request") -> None:
        self._transport = transport
        self._kept: dict[str, _Kept] = {}

    def __call__(self, url: str, method: str = "GET", **more: object) -> "Response":
        """Return the answer to a GET."""
        kept = self._kept.get(url)
        if kept is not None and time.monotonic() < kept.until_s:
            return kept.answer
        answer: Response = self._transport(url, method=method, timeout=_TIMEOUT_S, **more)
        headers = {key.lower(): value for key, value in answer.headers.items()}
        found = _MAX_AGE.search(headers.get("cache-control", ""))
        if answer.status == _OK and found:
            keep_s = min(int(found[1]), _LONGEST_KEPT_S)
            self._kept[url] = _Kept(answer, time.monotonic() + keep_s)
        return answer
