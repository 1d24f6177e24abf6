"""The sentences and key figures of report and terminal."""

from functions.domain.accounting.document import Receipt
from functions.domain.accounting.receipt import saved_gco2eq
from functions.domain.plan.document import Plan, Policy
from functions.report.documents import JobDocuments
from functions.report.rounding import rounded
from functions.report.saving import saving_text
from functions.report.tables import at_text


def facts(documents: JobDocuments) -> tuple[tuple[str, str], ...]:
    """Return name and value of the figures that matter most."""
    state, progress, receipt = documents.state, documents.progress, documents.receipt
    pairs = [("phase", state.phase.value if state else "not planned yet")]
    if state and state.message:
        pairs.append(("message", state.message))
    pairs += _stopping(documents)
    if receipt:
        pairs += [
            ("emissions", f"{rounded(receipt.emissions_gco2eq)} gCO2eq"),
            ("energy", f"{rounded(receipt.energy_kwh)} kWh"),
            ("of it overhead", f"{rounded(receipt.overhead_kwh)} kWh"),
            *_savings(receipt),
            ("VMs", str(receipt.vms)),
            ("moves", str(receipt.moves)),
            ("steps done again", str(receipt.lost_steps)),
        ]
    if progress:
        pairs.append(("steps", steps_text(progress.steps_done, progress.steps_total)))
    deadline = documents.job.effective_deadline
    pairs.append(("deadline, UTC", at_text(deadline) if deadline else "none"))
    return tuple(pairs)


def _stopping(documents: JobDocuments) -> list[tuple[str, str]]:
    """Name the VM that still trains though the job is to rest: the next heartbeat tells it."""
    state, lease = documents.state, documents.lease
    if state is None or state.phase.may_run or lease is None:
        return []
    if not lease.is_held(documents.read_at):
        return []
    return [("VM", f"{lease.holder.partition('/')[0]} writes a checkpoint and goes")]


def _savings(receipt: Receipt) -> list[tuple[str, str]]:
    """Return what was saved against the ways that the job could have gone without planning."""
    known = [
        each
        for each in receipt.baselines
        if each.policy is not Policy.ORACLE and saved_gco2eq(receipt, each.policy) is not None
    ]
    told = [(f"against {each.policy.value}", saving_text(receipt, each)) for each in known]
    return told if receipt.usd is None else [*told, ("cost", f"{receipt.usd:.2f} USD")]


def steps_text(done: int, total: int | None) -> str:
    """Return `done of total`."""
    return f"{done} of {total}" if total is not None else f"{done} of an unknown number"


def plan_lines(plan: Plan) -> tuple[str, ...]:
    """Return why the plan is as it is, as sentences."""
    late = () if plan.meets_deadline else ("It does not meet the deadline: no plan could.",)
    left_out = tuple(f"Left out: {zone.grid_zone}: {zone.reason}" for zone in plan.left_out)
    return (plan.reason, *late, *left_out, f"Forecast from {plan.forecast_source}.")
