"""The paper an office drowns in, generated from a number: the same number is always the same document.

Some documents are wrong, as some are in any office; which ones also follows from the number.
"""

from __future__ import annotations

from random import Random

_SUPPLIERS = (
    "Nordwind Papier GmbH",
    "Aldgate Freight Ltd",
    "Ferretti & Figli",
    "Kobe Instruments",
    "Blue Heron Cleaning",
)
_ITEMS = (
    "Copy paper A4",
    "Toner black",
    "Pallet freight",
    "Window cleaning",
    "Torque wrench",
    "Archive boxes",
)
_FIRST_NAMES = ("Ada", "Bruno", "Chiara", "Dmitri", "Esra", "Farid", "Greta", "Hugo")
_LAST_NAMES = ("Okafor", "Lindqvist", "Moreau", "Novak", "Tanaka", "Castell", "Byrne", "Weiss")
_CITIES = ("Lyon", "Gdansk", "Porto", "Graz", "Cork", "Tartu")


# How often a document is wrong or a counterpart out of order, from 0 to 1.
_ODDS = {
    "malformed_invoice": 0.02,
    "malformed_statement": 0.03,
    "unbalanced_statement": 0.06,
    "mistyped_iban": 0.04,
    "bureau_down": 0.07,
    "stuck_shop": 0.03,
    "rejected_report": 0.08,
}


def strikes(fault: str, number: int | str) -> bool:
    """Whether a fault hits this document."""
    return Random(f"{fault}/{number}").random() < _ODDS[fault]


def invoice(number: int) -> str:
    """A supplier's invoice as the text its PDF holds."""
    draw = Random(f"invoice/{number}")
    lines = [(draw.choice(_ITEMS), draw.randint(1, 12), draw.randint(199, 9999)) for _ in range(draw.randint(2, 6))]
    total = sum(quantity * cents for _, quantity, cents in lines)
    stated = f"{total / 100:.2f} EUR"
    date = f"2026-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
    if strikes("malformed_invoice", number):
        stated, date = draw.choice(
            [("see attachment", date), (stated, "31.02.2026"), (f"{total / 100 + 10:.2f} EUR", date)]
        )
    return "\n".join(
        [
            f"INVOICE {number}",
            f"Supplier: {draw.choice(_SUPPLIERS)}",
            f"Order: PO-{number % 9000 + 1000}",
            f"Date: {date}",
            "",
            *(f"{item}; {quantity}; {cents / 100:.2f}" for item, quantity, cents in lines),
            "",
            f"Total: {stated}",
        ]
    )


def bookings(account: str, day: int) -> str:
    """A day's bookings as CSV, seen from our `ledger` or from the `bank`."""
    draw = Random(f"bookings/{day}")
    rows = [
        (f"B{day}-{n:03d}", draw.choice(_SUPPLIERS), draw.randint(-90000, 120000)) for n in range(draw.randint(20, 60))
    ]
    if account == "bank" and strikes("unbalanced_statement", day):
        reference, party, cents = rows[3]
        rows[3] = (reference, party, cents + 1990)
    amounts = [f"{cents / 100:.2f}" for _, _, cents in rows]
    if account == "bank" and strikes("malformed_statement", day):
        amounts[5] = "n/a"
    body = (f"{reference},{party},{amount}" for (reference, party, _), amount in zip(rows, amounts, strict=True))
    return "\n".join(["reference,party,amount", *body])


def catalogue_page(shop: str, page: int) -> str:
    """A page of a shop's catalogue as HTML, with today's prices."""
    draw = Random(f"shop/{shop}/{page}")
    rows = "".join(
        f"<tr><td class='item'>{item}</td><td class='price'>{draw.randint(199, 9999) / 100:.2f}</td></tr>"
        for item in _ITEMS
    )
    return f"<html><body><h1>{shop}</h1><table>{rows}</table></body></html>"


def application(number: int) -> dict[str, str]:
    """A customer's application form."""
    draw = Random(f"application/{number}")
    account = f"{draw.randint(0, 10**18 - 1):018d}"
    check = 98 - int(f"{account}131400") % 97  # DE is 1314 in the standard's letters-to-digits
    if strikes("mistyped_iban", number):
        check = check % 97 + 2
    return {
        "name": f"{draw.choice(_FIRST_NAMES)} {draw.choice(_LAST_NAMES)}",
        "city": draw.choice(_CITIES),
        "iban": f"DE{check:02d}{account}",
    }


def figures(month: int) -> dict[str, list[int]]:
    """A month's sales for each city, one number of cents a day."""
    draw = Random(f"figures/{month}")
    return {city: [draw.randint(20_000, 400_000) for _ in range(30)] for city in _CITIES}


def sanctioned_names() -> list[str]:
    """Whom nobody may do business with."""
    return ["Ivan Nobody", "Acme Shell Holdings"]
