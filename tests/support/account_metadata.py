"""The metadata server of a function: gives its service account's token, as Cloud Run does."""

import json

from werkzeug import Request, Response

from functions.local.serving import HttpServer

TOKEN = "ya29.t0ken-of-the-functions-account"  # noqa: S105 - opens nothing
_EMAIL = "smartscheduler-function@tests.iam.gserviceaccount.com"
_FLAVOR = {"Metadata-Flavor": "Google"}


@Request.application
def _answer(request: Request) -> Response:
    if request.headers.get("Metadata-Flavor") != "Google":
        return Response("Missing Metadata-Flavor:Google header.", 403, _FLAVOR)
    path = request.path.removeprefix("/computeMetadata/v1/")
    if path == "project/project-id":
        return Response("tests", headers=_FLAVOR)
    account: object = {"aliases": ["default"], "email": _EMAIL, "scopes": ["cloud-platform"]}
    if path.endswith("/token"):
        account = {"access_token": TOKEN, "expires_in": 3599, "token_type": "Bearer"}
    elif request.path != "/" and not path.startswith("instance/service-accounts/"):
        return Response("not found", 404, _FLAVOR)
    return Response(json.dumps(account), headers=_FLAVOR, mimetype="application/json")


def account_metadata() -> HttpServer:
    """Return the server, not started."""
    return HttpServer(_answer, name="account")
