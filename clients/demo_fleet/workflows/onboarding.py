"""Customer onboarding: read an application, check it with counterparts, open the account, send a welcome."""

from __future__ import annotations

from dbos import DBOS

from clients.demo_fleet.workflows.desk import folder, get, node, post, render, side_by_side


class InvalidIban(Exception):
    """An account number whose check digits are wrong."""


class ApplicationRefused(Exception):
    """An applicant with whom we may not, or will not, do business."""


def check_iban(iban: str) -> str:
    """The account number, if its ISO 7064 check digits are right."""
    moved = iban[4:] + iban[:4]
    if int("".join(str(int(character, 36)) for character in moved)) % 97 != 1:
        raise InvalidIban(f"{iban[:4]}…{iban[-4:]}: the check digits are wrong")
    return iban


@node(attempts=3)
async def read_application(number: int) -> dict[str, str]:
    """The applicant's form."""
    form: dict[str, str] = (await get(f"/applications/{number}")).json()
    return form


@node()
async def validate_iban(form: dict[str, str]) -> str:
    """Check the account number."""
    return check_iban(form["iban"])


@node(attempts=3)
async def screen_sanctions(form: dict[str, str]) -> int:
    """Look the applicant up in the sanctions list."""
    names: list[str] = (await get("/sanctions")).json()
    if form["name"] in names:
        raise ApplicationRefused(f"{form['name']} is on the sanctions list")
    return len(names)


@node(attempts=2)
async def query_credit_bureau(number: int) -> int:
    """Ask the bureau for a score, 300 to 849."""
    score: int = (await get(f"/credit/{number}")).json()["score"]
    return score


@node(attempts=5)
async def open_account(form: dict[str, str], score: int) -> str:
    """Open the account; its receipt."""
    return await post("/accounts", f"{form['name']};{form['city']};{score}")


@node()
async def write_welcome_letter(form: dict[str, str], account: str) -> int:
    """Write the letter."""
    text = render("letter.html", name=form["name"], city=form["city"], account=account)
    return (folder() / "letter.html").write_text(text, encoding="utf-8")


@node(attempts=5)
async def send_letter() -> str:
    """Hand the letter to the post room."""
    return await post("/letters", (folder() / "letter.html").read_text(encoding="utf-8"))


@DBOS.workflow(name="customer-onboarding")
async def customer_onboarding(number: int) -> dict[str, object]:
    """Take one customer on."""
    form = await read_application(number)
    await validate_iban(form)
    _, score = await side_by_side(screen_sanctions(form), query_credit_bureau(number))
    account = await open_account(form, score)
    await write_welcome_letter(form, account)
    return {"account": account, "receipt": await send_letter()}
