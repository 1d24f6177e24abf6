"""The sentences and key figures of report and terminal."""

from functions.domain.accounting.document import Receipt
from functions.domain.plan.document import Plan
from functions.report.documents import JobDocuments
from functions.report.tables import at_text


def facts(documents: JobDocuments) -> tuple[tuple[str, str], ...]:
    """Return name and value of the figures that matter most."""
    state, progress, receipt = documents.state, documents.progress, documents.receipt
    pairs = [("phase", state.phase.value if state else "not planned yet")]
    if state and state.message:
        pairs.append(("message", state.message))
    if receipt:
        pairs += [
            ("emissions", f"{receipt.emissions_gco2eq:.1f} gCO2eq"),
            ("energy", f"{receipt.energy_kwh:.3f} kWh"),
            ("of it overhead", f"{receipt.overhead_kwh:.3f} kWh"),
            ("VMs", str(receipt.vms)),
            ("moves", str(receipt.moves)),
            ("steps done again", str(receipt.lost_steps)),
        ]
    if progress:
        pairs.append(("steps", steps_text(progress.steps_done, progress.steps_total)))
    deadline = documents.job.effective_deadline
    pairs.append(("deadline, UTC", at_text(deadline) if deadline else "none"))
    return tuple(pairs)


def steps_text(done: int, total: int | None) -> str:
    """Return `done of total`."""
    return f"{done} of {total}" if total is not None else f"{done} of an unknown number"


def receipt_lines(receipt: Receipt) -> tuple[str, ...]:
    """Return on what the receipt rests, as sentences."""
    whole = (
        "All hours are in."
        if receipt.complete
        else f"{receipt.missing_hours} hour(s) are missing: their intensity is not published yet."
    )
    sums = (
        f"{receipt.emissions_gco2eq:.1f} gCO2eq from {receipt.energy_kwh:.3f} kWh, of it"
        f" {receipt.overhead_kwh:.3f} kWh overhead. {whole}"
    )
    course = (
        f"Submitted {at_text(receipt.submitted_at)}, finished {at_text(receipt.finished_at)} UTC;"
        f" {receipt.vms} VMs, {receipt.moves} moves, {receipt.steps} steps,"
        f" {receipt.lost_steps} of them done again."
    )
    basis = (
        f"Carbon: {receipt.source} (basis: {receipt.basis.value}). Energy: {receipt.energy_basis}."
    )
    return (sums, course, basis, f"Final weights: SHA-256 {receipt.weights_sha256}")


def plan_lines(plan: Plan) -> tuple[str, ...]:
    """Return why the plan is as it is, as sentences."""
    late = () if plan.meets_deadline else ("It does not meet the deadline: no plan could.",)
    left_out = tuple(f"Left out: {zone.grid_zone}: {zone.reason}" for zone in plan.left_out)
    return (plan.reason, *late, *left_out, f"Forecast from {plan.forecast_source}.")
