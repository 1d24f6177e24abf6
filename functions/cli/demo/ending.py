"""The end of the demo: receipt, saving, proof, report."""

from rich.console import Console
from rich.text import Text

from functions.cli.demo.saved import DemoFolder, DemoState
from functions.cli.receipt import print_receipt
from functions.cli.report import write_report
from functions.domain.lifecycle.state import Phase
from functions.report.documents import JobDocuments

DIFFERENT = 1
"""Exit code if the job failed or its weights differ."""


def ending(console: Console, documents: JobDocuments, folder: DemoFolder) -> int:
    """Print the receipt and the proof, write the report, and return the exit code."""
    state = folder.load()
    proof = proof_line(documents, state)
    write_report(documents, folder.report, proof=proof)
    console.print()
    if documents.receipt:
        print_receipt(console, documents.receipt)
        console.print()
    if documents.state and documents.state.phase is Phase.FAILED:
        console.print(Text(f"The job failed: {documents.state.message}"), soft_wrap=True)
    console.print(Text(proof), soft_wrap=True)
    console.print(Text(f"Report: {folder.report}"), soft_wrap=True)
    return 0 if is_proven(documents, state) else DIFFERENT


def is_proven(documents: JobDocuments, state: DemoState) -> bool:
    """Whether the job finished with the very weights of the uninterrupted run."""
    manifest = documents.manifest
    finished = documents.state is not None and documents.state.phase is Phase.FINISHED
    return (
        finished
        and manifest is not None
        and manifest.finished
        and manifest.weights_sha256 == state.weights_sha256
    )


def proof_line(documents: JobDocuments, state: DemoState) -> str:
    """Return what the job's final weights are, against the uninterrupted run's."""
    vms = documents.receipt.vms if documents.receipt else len(documents.ledger)
    if documents.manifest is None or not documents.manifest.finished:
        return f"No proof: the job did not finish. Uninterrupted run: {state.weights_sha256}"
    ours = documents.manifest.weights_sha256
    if is_proven(documents, state):
        return (
            f"Proof: {vms} VMs and one uninterrupted run end with the same weights, bit for bit:"
            f" SHA-256 {ours}"
        )
    return f"DIFFERENT weights: {vms} VMs {ours}, uninterrupted run {state.weights_sha256}"
