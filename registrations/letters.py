"""What is written to registrants, each in their own language."""

from functools import cache
from typing import NamedTuple

from django.utils import translation
from django.utils.translation import gettext

from foundation.email import Mail
from foundation.sms import Sms
from registrations.person import Person


class Texts(NamedTuple):
    """All letters in one language, looked up once: a batch writes thousands."""

    hello: str
    verify_subject: str
    verify: str
    sign_in_subject: str
    sign_in: str
    go_on_subject: str
    go_on: str
    registered_subject: str
    registered: str
    code: str


@cache
def _texts(language: str) -> Texts:
    with translation.override(language):
        return Texts(
            hello=gettext("Dear {name},"),
            verify_subject=gettext("Confirm your e-mail address for Kartu Prakerja"),
            verify=gettext(
                "you have signed up for Kartu Prakerja. Open this link and press the button to confirm your e-mail address:"
                "\n\n{url}\n\n"
                "The link works for 24 hours. If you did not sign up, ignore this mail: nothing happens without the button."
            ),
            sign_in_subject=gettext("Your link to sign in to Kartu Prakerja"),
            sign_in=gettext(
                "open this link to sign in to Kartu Prakerja:\n\n{url}\n\n"
                "The link works once, for one hour. If you did not ask for it, ignore this mail."
            ),
            go_on_subject=gettext("Go on with your sign-up for Kartu Prakerja"),
            go_on=gettext(
                "open this link to go on with your sign-up where you stopped:\n\n{url}\n\n"
                "The link works once, for one hour. If you did not ask for it, ignore this mail."
            ),
            registered_subject=gettext("You are already registered for Kartu Prakerja"),
            registered=gettext(
                "somebody has just signed up for Kartu Prakerja with your e-mail address. "
                "You are registered already, and nothing has changed. If it was you, sign in here:\n\n{url}\n\n"
                "If it was not you, you need not do anything."
            ),
            code=gettext(
                "{code} is your Kartu Prakerja code. It works for 5 minutes. Do not tell it to anybody, not to us either."
            ),
        )


def verify_email(person: Person, *, reference: str, url: str) -> Mail:
    texts = _texts(person.language)
    return Mail(reference, person.email, texts.verify_subject, _letter(texts, person.name, texts.verify.format(url=url)))


def sign_in(person: Person, *, url: str) -> Mail:
    texts = _texts(person.language)
    return Mail("sign-in", person.email, texts.sign_in_subject, _letter(texts, person.name, texts.sign_in.format(url=url)))


def go_on(email: str, language: str, *, url: str) -> Mail:
    """To somebody whose sign-up is not finished: the address is not proven, so no name of theirs is in it."""
    texts = _texts(language)
    return Mail("go-on", email, texts.go_on_subject, texts.go_on.format(url=url))


def already_registered(email: str, language: str, *, url: str) -> Mail:
    """To the owner of an address that somebody signs up with: not by the name that was typed there."""
    texts = _texts(language)
    return Mail("registered", email, texts.registered_subject, texts.registered.format(url=url))


def code(person: Person, *, reference: str, code: str) -> Sms:
    return Sms(reference, person.phone, _texts(person.language).code.format(code=code))


def _letter(texts: Texts, name: str, body: str) -> str:
    return f"{texts.hello.format(name=name)}\n\n{body}"
