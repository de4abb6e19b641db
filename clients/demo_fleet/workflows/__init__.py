"""What the robots can do: five office workflows, each node a durable step."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from clients.demo_fleet.workflows.invoice_intake import invoice_intake
from clients.demo_fleet.workflows.month_end import month_end_report
from clients.demo_fleet.workflows.onboarding import customer_onboarding
from clients.demo_fleet.workflows.price_watch import price_watch
from clients.demo_fleet.workflows.reconciliation import ledger_reconciliation


@dataclass(frozen=True, slots=True)
class Workflow:
    """A workflow a robot can run on the documents of a number."""

    workflow_id: str
    name: str
    nodes: int
    run: Callable[[int], Coroutine[Any, Any, dict[str, object]]]


WORKFLOWS = {
    workflow.workflow_id: workflow
    for workflow in (
        Workflow("invoice-intake", "Invoice intake", 6, invoice_intake),
        Workflow("ledger-reconciliation", "Ledger reconciliation", 6, ledger_reconciliation),
        Workflow("price-watch", "Supplier price watch", 6, price_watch),
        Workflow("customer-onboarding", "Customer onboarding", 7, customer_onboarding),
        Workflow("month-end-report", "Month-end report", 6, month_end_report),
    )
}
