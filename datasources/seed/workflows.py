"""The workflows of an invented company: what they work on, how long they take, how they fail."""

from __future__ import annotations

from dataclasses import dataclass

NODES_A_RUN = 20


@dataclass(frozen=True, slots=True)
class Node:
    """One step of a workflow."""

    node_id: str
    node_type: str


@dataclass(frozen=True, slots=True)
class Failure:
    """A way to fail: the step of the loop where it happens, and what is said; `{...}` are facts of a run."""

    step: int
    error_type: str
    message: str


# Compared by identity: a workflow and its application are keys of caches, and equal only to themselves.
@dataclass(frozen=True, slots=True, eq=False)
class Application:
    """What a workflow works with: the steps around and inside its loop over items, and how they fail."""

    opening: tuple[Node, ...]
    each_item: tuple[Node, ...]
    closing: Node
    failures: tuple[Failure, ...]
    """The most frequent first."""
    heals: bool = False
    """Whether a broken selector can be repaired while the job runs."""

    def node(self, position: int) -> Node:
        """The step at a position of a run that is not at its end."""
        if position < len(self.opening):
            return self.opening[position]
        return self.each_item[(position - len(self.opening)) % len(self.each_item)]


@dataclass(frozen=True, slots=True, eq=False)
class Workflow:
    """One workflow and the shape of its runs."""

    name: str
    application: Application
    share: float
    """How often it runs, relative to the others."""
    median_seconds: float
    spread: float
    """Sigma of the log-normal distribution of its durations."""
    failure_rate: float

    @property
    def workflow_id(self) -> str:
        """The name as an identifier: `invoice-intake`."""
        return self.name.lower().replace(" ", "-")


PORTAL = Application(
    opening=(
        Node("launch_browser", "LaunchBrowserNode"),
        Node("log_in", "TypeTextNode"),
        Node("open_worklist", "GoToURLNode"),
    ),
    each_item=(
        Node("select_entry", "ClickElementNode"),
        Node("wait_for_details", "WaitForElementNode"),
        Node("read_details", "ExtractTextNode"),
        Node("save_entry", "ClickElementNode"),
    ),
    closing=Node("close_browser", "CloseBrowserNode"),
    failures=(
        Failure(1, "TimeoutError", "Timed out after {ms} ms waiting for element '{selector}'"),
        Failure(2, "ElementNotFoundError", "No element matches '{selector}' on {page}"),
        Failure(3, "SessionExpiredError", "The portal ended the session while {page} was loading"),
        Failure(0, "HTTPStatusError", "Server error '503 Service Unavailable' for {page}"),
    ),
    heals=True,
)
DOCUMENTS = Application(
    opening=(
        Node("list_inbox", "ListFilesNode"),
        Node("load_rules", "ReadJSONFileNode"),
        Node("open_archive", "OpenFolderNode"),
    ),
    each_item=(
        Node("read_document", "ReadPDFTextNode"),
        Node("extract_fields", "RegexExtractNode"),
        Node("validate_fields", "ValidateNode"),
        Node("file_document", "MoveFileNode"),
    ),
    closing=Node("write_protocol", "WriteFileNode"),
    failures=(
        Failure(
            2,
            "ValidationError",
            "Document {number}: the positions add up to {amount}, the total says otherwise",
        ),
        Failure(
            1,
            "OcrConfidenceError",
            "Page {small} of document {number} was read with a confidence of 0.{percent}",
        ),
        Failure(0, "FileNotFoundError", "No such file: 'inbox/{number}.pdf'"),
        Failure(3, "PermissionError", "Permission denied: 'archive/{number}.pdf'"),
    ),
)
SHEETS = Application(
    opening=(
        Node("open_workbook", "ExcelOpenNode"),
        Node("read_range", "ExcelReadRangeNode"),
        Node("load_bookings", "CSVReadNode"),
    ),
    each_item=(
        Node("match_row", "ListFilterNode"),
        Node("compare_amounts", "CompareNode"),
        Node("write_row", "ExcelWriteCellNode"),
        Node("note_difference", "ListAppendNode"),
    ),
    closing=Node("save_workbook", "ExcelSaveNode"),
    failures=(
        Failure(1, "ValueError", "Row {number}: could not convert string to float: '{amount} EUR'"),
        Failure(0, "KeyError", "Column 'booking_{small}' is missing in the sheet of account {number}"),
        Failure(2, "FileLockedError", "Workbook 'accounts-{small}.xlsx' is open on another machine"),
    ),
)
MAIL = Application(
    opening=(
        Node("connect_mailbox", "IMAPConnectNode"),
        Node("search_unread", "EmailSearchNode"),
        Node("load_templates", "ReadFileNode"),
    ),
    each_item=(
        Node("read_message", "EmailReadNode"),
        Node("classify_message", "ClassifyTextNode"),
        Node("answer_message", "SMTPSendNode"),
        Node("archive_message", "EmailMoveNode"),
    ),
    closing=Node("disconnect_mailbox", "IMAPDisconnectNode"),
    failures=(
        Failure(0, "ConnectionResetError", "The mail server closed the connection after {small} messages"),
        Failure(2, "SMTPRecipientsRefused", "550 5.1.1 mailbox of customer {number} is unavailable"),
        Failure(3, "AuthenticationError", "The mail server refused the robot's login"),
    ),
)
RECORDS = Application(
    opening=(
        Node("sign_in", "HTTPAuthNode"),
        Node("fetch_worklist", "HTTPRequestNode"),
        Node("load_mapping", "ReadJSONFileNode"),
    ),
    each_item=(
        Node("fetch_record", "HTTPRequestNode"),
        Node("map_fields", "TransformNode"),
        Node("check_duplicate", "DatabaseQueryNode"),
        Node("post_record", "HTTPRequestNode"),
    ),
    closing=Node("sign_out", "HTTPRequestNode"),
    failures=(
        Failure(3, "HTTPStatusError", "Server error '500 Internal Server Error' for record {number}"),
        Failure(0, "ReadTimeout", "No answer for record {number} within {ms} ms"),
        Failure(2, "DuplicateRecordError", "Record {number} exists already"),
        Failure(3, "BusinessRuleError", "The amount {amount} is above the limit of cost centre {small}"),
    ),
)

WORKFLOWS = (
    Workflow("Invoice intake", DOCUMENTS, 14, 95, 0.55, 0.050),
    Workflow("Invoice approval", PORTAL, 9, 140, 0.60, 0.060),
    Workflow("Payment reconciliation", SHEETS, 7, 260, 0.50, 0.045),
    Workflow("Bank statement import", RECORDS, 6, 60, 0.40, 0.025),
    Workflow("Customer onboarding", PORTAL, 5, 320, 0.70, 0.095),
    Workflow("Customer master data sync", RECORDS, 7, 45, 0.45, 0.030),
    Workflow("Order entry", PORTAL, 9, 110, 0.55, 0.070),
    Workflow("Order confirmation", MAIL, 7, 35, 0.40, 0.030),
    Workflow("Shipment tracking", PORTAL, 6, 75, 0.60, 0.110),
    Workflow("Returns handling", RECORDS, 3, 130, 0.60, 0.065),
    Workflow("Support mail triage", MAIL, 8, 28, 0.50, 0.035),
    Workflow("Contract archive", DOCUMENTS, 3, 180, 0.65, 0.075),
    Workflow("Supplier price update", SHEETS, 3, 210, 0.55, 0.080),
    Workflow("Stock level report", SHEETS, 3, 90, 0.35, 0.030),
    Workflow("Payroll preparation", SHEETS, 1, 900, 0.45, 0.055),
    Workflow("Expense report audit", DOCUMENTS, 3, 150, 0.60, 0.090),
    Workflow("Travel booking", PORTAL, 2, 240, 0.70, 0.140),
    Workflow("Employee offboarding", RECORDS, 1, 200, 0.50, 0.060),
    Workflow("Claims registration", PORTAL, 3, 280, 0.65, 0.120),
    Workflow("Policy renewal", RECORDS, 2, 120, 0.50, 0.050),
    Workflow("Credit check", RECORDS, 4, 22, 0.45, 0.055),
    Workflow("Tax filing", PORTAL, 1, 1500, 0.50, 0.160),
    Workflow("Dunning letters", MAIL, 2, 70, 0.45, 0.040),
    Workflow("Month end closing", SHEETS, 1, 2400, 0.40, 0.085),
)
