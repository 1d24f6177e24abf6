"""Whom a function on Google Cloud lets in, by tokens that are really signed."""

import base64
import json
import time
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from token_signer import CALLER, TokenSigner, audience_of

from functions.adapters.google_identity import GoogleCallerCheck
from functions.errors import CallerRefusedError, UnavailableError

SERVICE = "smartscheduler-stop-vm"


@pytest.fixture(scope="module")
def google() -> TokenSigner:
    """Google's key; making one takes a while."""
    return TokenSigner()


@pytest.fixture(scope="module")
def certs_url(google: TokenSigner) -> Iterator[str]:
    """Where it is served."""
    with google.serving() as url:
        yield url


@pytest.fixture(scope="module")
def check(certs_url: str) -> GoogleCallerCheck:
    """The check of stop_vm."""
    return GoogleCallerCheck(caller=CALLER, service=SERVICE, certs_url=certs_url)


@pytest.mark.parametrize(
    "audience", [audience_of(SERVICE), f"https://{SERVICE}-123456789.europe-west1.run.app"]
)
def test_the_caller_is_admitted(
    check: GoogleCallerCheck, google: TokenSigner, audience: str
) -> None:
    """By either of the two addresses that Cloud Run gives to a service."""
    check.admit(f"Bearer {google.sign(aud=audience)}")


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("aud", audience_of("smartscheduler-start-vm")),
        ("aud", audience_of("other")),
        ("aud", f"https://{SERVICE}.evil.example/"),
        ("aud", f"https://evil.example/{SERVICE}-x.run.app"),
        ("aud", f"https://{SERVICE}-x.run.app.evil.example"),
        ("aud", [audience_of(SERVICE)]),
        ("aud", None),
        ("email", "somebody@else.iam.gserviceaccount.com"),
        ("email", CALLER.upper()),
        ("email", None),
        ("email_verified", False),
        ("email_verified", "true"),
        ("iss", "https://evil.example"),
        ("iss", None),
        pytest.param("exp", int(time.time()) - 3600, id="exp-over"),
        ("exp", None),
        pytest.param("iat", int(time.time()) + 3600, id="iat-to come"),
    ],
)
def test_a_claim_that_is_not_right_is_refused(
    check: GoogleCallerCheck, google: TokenSigner, claim: str, value: object
) -> None:
    """Signed by Google is not enough: for us, by the caller, now. What to do is said."""
    token = google.sign(**{claim: value})
    with pytest.raises(CallerRefusedError, match=r"expected .* found .*run\.invoker") as caught:
        check.admit(f"Bearer {token}")
    assert token not in str(caught.value)


def test_another_key_is_refused(check: GoogleCallerCheck) -> None:
    """Anybody can write the right claims; only Google can sign them."""
    with pytest.raises(CallerRefusedError, match="signed by Google"):
        check.admit(f"Bearer {TokenSigner().sign()}")


def test_unsigned_is_refused(check: GoogleCallerCheck, google: TokenSigner) -> None:
    """`alg: none` is the oldest trick."""
    _, claims, _ = google.sign().split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "key-1"}).encode())
    for signature in ("", "AAAA"):
        with pytest.raises(CallerRefusedError):
            check.admit(f"Bearer {head.decode().rstrip('=')}.{claims}.{signature}")


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(header=st.text() | st.text().map(lambda text: f"Bearer {text}") | st.from_regex(
    r"Bearer [A-Za-z0-9_-]{0,9}\.[A-Za-z0-9_-]{0,30}\.[A-Za-z0-9_-]{0,9}", fullmatch=True
))  # fmt: skip
def test_rubbish_is_refused(check: GoogleCallerCheck, header: str) -> None:
    """Whatever a header holds, it is refused by our own error."""
    with pytest.raises(CallerRefusedError):
        check.admit(header)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_changed_token_is_refused(
    check: GoogleCallerCheck, google: TokenSigner, data: st.DataObject
) -> None:
    """One character more, less or other, and it is nobody's; a dot at the end included."""
    token = google.sign()
    at = data.draw(st.integers(0, len(token) - 3))
    changed = data.draw(
        st.sampled_from([token[:at], token[:at] + token[at + 1 :], f"{token[:at]}-{token[at:]}"])
    )
    with pytest.raises(CallerRefusedError):
        check.admit(f"Bearer {changed}")


def test_without_settings_nobody_is_admitted(google: TokenSigner, certs_url: str) -> None:
    """What was not said is not open."""
    for caller, service in (("", SERVICE), (CALLER, "")):
        check = GoogleCallerCheck(caller=caller, service=service, certs_url=certs_url)
        with pytest.raises(CallerRefusedError, match="SMARTSCHEDULER_CALLER"):
            check.admit(f"Bearer {google.sign(service, email=caller)}")


def test_keys_are_asked_for_once_in_their_time() -> None:
    """A request must not cost another one; a key that is over must be asked for again."""
    google = TokenSigner()
    with google.serving() as url:
        check = GoogleCallerCheck(caller=CALLER, service=SERVICE, certs_url=url)
        for _ in range(3):
            check.admit(f"Bearer {google.sign()}")
        assert google.asked == 1
        google.max_age_s = 0
        check = GoogleCallerCheck(caller=CALLER, service=SERVICE, certs_url=url)
        for _ in range(3):
            check.admit(f"Bearer {google.sign()}")
        assert google.asked == 4


def test_without_keys_it_comes_again(google: TokenSigner) -> None:
    """Who it is cannot be told: neither let in nor refused for good."""
    other = TokenSigner()
    other.status = 503
    with other.serving() as url:
        for address in (url, "http://127.0.0.1:9/certs"):
            check = GoogleCallerCheck(caller=CALLER, service=SERVICE, certs_url=address)
            with pytest.raises(UnavailableError, match="keys of ID tokens"):
                check.admit(f"Bearer {google.sign()}")
