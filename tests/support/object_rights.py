"""IAM's conditions on objects, evaluated as Google documents them."""

import re

import cel
from infra_files import INFRA

_BUCKET = "projects/_/buckets/my-project-123-smartscheduler/objects/"


def _extract(text: str, template: str) -> str:
    """Return what IAM's function of that name does: what is in the braces' place, or nothing."""
    found = re.search(re.sub(r"\\\{\w+\\\}", "(.*?)", re.escape(template)), text)
    return found[1] if found else ""


def vm_may(what: str, name: str) -> bool:
    """Return whether a VM `reads` or `writes` an object, by the condition that Terraform sets."""
    context = cel.Context()
    context.add_function("extract", _extract)
    context.add_variable("resource", {"name": _BUCKET + name})
    expression = (INFRA / "tests" / f"vm_{what}.cel").read_text(encoding="utf-8").strip()
    return bool(cel.evaluate(expression, context))
