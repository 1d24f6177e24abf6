"""The composition root: the only place that builds adapters, once per process, when asked."""

import os
from functools import cache

from functions.adapters.tcn import TcnForecaster
from functions.errors import InvalidInputError
from functions.ports import Ports
from functions.settings import Deployment, read_deployment


@cache
def deployment() -> Deployment:
    """Return the settings from this process's environment.

    Raises:
        InvalidInputError: some are missing or malformed; all of them are named.
    """
    return read_deployment(os.environ)


@cache
def ports() -> Ports:
    """Return everything that the handlers may touch.

    Raises:
        InvalidInputError: a setting is missing or malformed.
    """
    settings = deployment().settings
    if settings.cloud == "google":
        raise InvalidInputError(
            "cloud: expected the address of an embedded cloud, found 'google'. The adapters for"
            " Google Cloud are not part of this version; `make demo` runs on the embedded cloud."
        )
    from functions.local.ports import connect  # noqa: PLC0415 - not needed on Google Cloud

    return connect(settings, os.environ, forecaster=TcnForecaster())
