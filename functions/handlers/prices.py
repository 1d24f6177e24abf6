"""Reads the table of prices that plans and receipts count with."""

import logging

from functions.domain.plan.prices import DEFAULT_PRICES, PriceTable
from functions.errors import InvalidInputError
from functions.handlers.documents import Documents
from vm_runtime.contract import object_names

_LOG = logging.getLogger(__name__)


def read_prices(documents: Documents) -> PriceTable:
    """Return the user's table, the built-in one if there is none or it cannot be used.

    A table that cannot be used keeps no job from its plan: the log says what to mend, and each plan
    and receipt names the source of its prices.
    """
    try:
        return documents.peek(PriceTable, object_names.PRICES) or DEFAULT_PRICES
    except InvalidInputError as error:
        _LOG.error("%s The built-in prices are used.", error, extra={"event": "prices"})
        return DEFAULT_PRICES
