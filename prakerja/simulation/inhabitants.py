"""The simulated inhabitants: they read the mail and the texts that the mock services deliver, open links and type codes.

They act through the same functions as the pages do. What each one does, and when, is a function of who they are
(`population`), so nothing about them is stored, and a simulation that was stopped goes on as if it had not been.
"""

from typing import NamedTuple

from foundation.work import Claim, Item, work_off
from prakerja.simulation.population import Conduct, Population
from prakerja.simulation.programme import Fate
from registrations import intake, ladder
from registrations.stages import Stage
from verification import links, phone


class Text(NamedTuple):
    """An SMS in somebody's hand."""

    item: Item
    registrant_id: int
    code: str
    person: Conduct


def read_mail(population: Population, *, size: int) -> int:
    """Let one batch of inhabitants read the mail that waits for them; return how many mails were read."""
    return work_off("mailbox", size=size, service=None, act=lambda claim: _open_links(claim, population))


def _open_links(claim: Claim, population: Population) -> int:
    people = population.conducts(
        [population.number_of_email(to) for _subject, _instant, (_reference, to, _link) in claim.items]
    )
    opened = [
        links.Opened(link.rstrip("/").rpartition("/")[2], person.opens_mail_at)
        for (_subject, _instant, (_reference, _to, link)), person in zip(claim.items, people, strict=True)
        if person.opens_mail_at
    ]
    for entry, outcome in zip(opened, links.open_links(opened) if opened else [], strict=True):
        if outcome is links.Outcome.EXPIRED and entry.at and (mailed := links.Link.read(entry.token)):
            # The simulation stood still for more than a day: ask for another mail, as one would.
            intake.send_link(mailed.registrant_id, at=entry.at, instant=entry.at)
    with claim.settling():
        return len(opened)


def read_texts(population: Population, *, size: int) -> int:
    """Let one batch of inhabitants read the SMS that wait for them and type the codes; return how many were read."""
    return work_off("handset", size=size, service=None, act=lambda claim: _type_codes(claim, population))


def _type_codes(claim: Claim, population: Population) -> int:
    notes = [item.note for item in claim.items]
    people = population.conducts([population.number_of_phone(to) for _reference, to, _code in notes])
    texts = [
        Text(item, int(reference.partition(".")[0]), code, person)
        for item, (reference, _to, code), person in zip(claim.items, notes, people, strict=True)
    ]
    # One code per registrant: the newest SMS counts.
    texts = list({text.registrant_id: text for text in texts}.values())
    late = _type([text for text in texts if text.person.fate is not Fate.CODE_NEVER_TYPED])
    # Who typed the right code before somebody died here needs no other one.
    waiting = ladder.standing(list(late), Stage.IDENTITY_VERIFIED) if late else {}
    with claim.settling():
        claim.again(
            [
                text.item
                for id, text in late.items()
                if id in waiting and not phone.send_code(id, at=text.person.types_code_at)
            ]
        )
    return len(texts)


def _type(texts: list[Text]) -> dict[int, Text]:
    """Type wrong codes as often as each one does, then the right one; return by registrant those who still want a code that
    works: theirs had expired by then.
    """
    late: dict[int, Text] = {}
    for number in range(max((text.person.wrong_codes for text in texts), default=0) + 1):
        typing = [text for text in texts if text.person.wrong_codes >= number and text.registrant_id not in late]
        wrong = [text for text in typing if text.person.wrong_codes > number]
        right = [
            text for text in typing if text.person.wrong_codes == number and text.person.fate is not Fate.ATTEMPTS_USED_UP
        ]
        typed = [_typed(text, _other(text.code)) for text in wrong] + [_typed(text, text.code) for text in right]
        for text, outcome in zip(wrong + right, phone.type_codes(typed) if typed else [], strict=True):
            if outcome is phone.Outcome.NOT_LIVE and text.person.fate is not Fate.ATTEMPTS_USED_UP:
                late[text.registrant_id] = text
    return late


def _typed(text: Text, code: str) -> phone.Typed:
    return phone.Typed(text.registrant_id, code, text.person.types_code_at)


def _other(code: str) -> str:
    return f"{(int(code) + 1) % 10 ** len(code):0{len(code)}}"
