"""What a registrant is told: where they are, why, and the one next thing to do."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from foundation import pg
from registrations.models import Registrant
from registrations.stages import DropOff, Stage
from trainings.models import Purchase, Review
from verification.delivery import News, news
from waves import rules, state
from waves.mine import Membership, Mine


@dataclass(frozen=True, slots=True)
class Rung:
    label: str
    reached_at: datetime | None
    is_current: bool


@dataclass(frozen=True, slots=True)
class Step:
    """The one next thing; without `url`, there is nothing to do but wait."""

    text: Any
    label: Any = None
    #: By name.
    url: str | None = None
    #: The button does it at once, and leads to no page.
    acts: bool = False
    #: What the page is of.
    of: int | None = None

    @property
    def href(self) -> str:
        """Where the button leads; nowhere, without `url`."""
        return reverse(self.url, args=[] if self.of is None else [self.of]) if self.url else ""


#: Why somebody stays on a rung, in plain words.
WHY: dict[DropOff, Any] = {
    DropOff.MAILBOX_FULL: _("Your mailbox was full: our mail came back."),
    DropOff.ADDRESS_UNKNOWN: _("Your e-mail address does not exist: our mail came back."),
    DropOff.EMAIL_TAKEN: _("This e-mail address belongs to a registration that was confirmed before yours."),
    DropOff.EMAIL_REVIEW: _("Something went wrong on our side. Our office is looking into it; you need not do anything."),
    DropOff.NIK_UNKNOWN: _("Dukcapil does not know the NIK that you gave. A wrong digit is the usual cause."),
    DropOff.KK_MISMATCH: _("The KK number that you gave is not the one that Dukcapil holds for your NIK."),
    DropOff.BIRTH_DATE_MISMATCH: _("The birth date that you gave is not the one that Dukcapil holds for your NIK."),
    DropOff.NIK_TAKEN: _("This NIK belongs to a registration that was verified before yours. A person can register once."),
    DropOff.IDENTITY_REVIEW: _("Something went wrong on our side. Our office is looking into it; you need not do anything."),
    DropOff.NUMBER_DEAD: _("The SMS could not be delivered: the number is not in service."),
    DropOff.ATTEMPTS_USED_UP: _("The code was typed wrongly five times and no longer works."),
    DropOff.PHONE_TAKEN: _("This phone number belongs to another registration."),
    DropOff.PHONE_REVIEW: _("Something went wrong on our side. Our office is looking into it; you need not do anything."),
    **{rule.reason: rule.says for rule in rules.RULES.values()},
    DropOff.REVOKED: _(
        "You bought no training in time, so your membership was revoked, as the rules say. You cannot take part again."
    ),
    DropOff.REMOVED: _("The decree was corrected: you are not a recipient any more."),
    DropOff.PURCHASE_CANCELLED: _("Your training was cancelled, and its price is back on your balance."),
    DropOff.CERTIFICATE_MISSING: _("Your training provider has not sent your certificate yet."),
    DropOff.NOT_REVIEWED: _("Your training has no rating and no review from you yet."),
    DropOff.NO_ACCOUNT: _("You have linked no account to which we can pay."),
    DropOff.ACCOUNT_OF_ANOTHER: _("The account that you linked belongs to another NIK. We may pay only to your own."),
    DropOff.ACCOUNT_INACTIVE: _("The account that you linked is closed, inactive or unknown to the bank or e-wallet."),
    DropOff.ACCOUNT_NOT_UPGRADED: _("The account that you linked has not been upgraded (KTP and selfie)."),
    DropOff.ACCOUNT_PHONE_DIFFERS: _("The account that you linked has another phone number than you have here."),
    DropOff.ACCOUNT_FULL: _("The account that you linked cannot hold the amount: it is at its limit."),
    DropOff.NOT_DRAWN: _("You took part in the last draw, and there were fewer seats than people. You were not drawn."),
}

_CORRECT = Step(
    _("Check what you typed against your KTP and family card, and send it again."), _("Correct my data"), "correct_identity"
)
_OTHER_ADDRESS = Step(
    _("Make room in your mailbox, or give us another address."), _("Another e-mail address"), "change_email"
)
_OTHER_NUMBER = Step(_("Give a number that you can read an SMS on now."), _("Change my number"), "change_phone")
_NEW_CODE = Step(_("Ask for a new code and type it in."), _("Type the code"), "code")

_NEXT: dict[DropOff, Step] = {
    DropOff.NIK_UNKNOWN: _CORRECT,
    DropOff.KK_MISMATCH: _CORRECT,
    DropOff.BIRTH_DATE_MISMATCH: _CORRECT,
    DropOff.NIK_TAKEN: Step(
        _(
            "If it is you who registered before, sign in there with the e-mail address of then. If you mistyped your NIK, correct it."
        ),
        _("Correct my data"),
        "correct_identity",
    ),
    DropOff.MAILBOX_FULL: _OTHER_ADDRESS,
    DropOff.ADDRESS_UNKNOWN: _OTHER_ADDRESS,
    DropOff.EMAIL_TAKEN: Step(
        _("If that registration is yours, sign in with this address. If not, sign up with another address."),
        _("Sign in"),
        "sign_in",
    ),
    DropOff.NUMBER_DEAD: _OTHER_NUMBER,
    DropOff.PHONE_TAKEN: _OTHER_NUMBER,
    DropOff.ATTEMPTS_USED_UP: _NEW_CODE,
    **dict.fromkeys(
        [DropOff.EMAIL_REVIEW, DropOff.IDENTITY_REVIEW, DropOff.PHONE_REVIEW], Step(_("Please come back in a few days."))
    ),
}

_WAITING: dict[Stage, Step] = {
    Stage.REGISTERED: Step(_("Open the link that we have mailed to you."), _("No mail?"), "check_mail"),
    Stage.EMAIL_VERIFIED: Step(
        _("We are comparing your data with Dukcapil. That takes a minute; this page shows the result by itself.")
    ),
    Stage.IDENTITY_VERIFIED: Step(_("We have sent you a code by SMS. Type it in."), _("Type the code"), "code"),
}

_ANOTHER_TRAINING = Step(
    _("Choose another one: only who completes a training gets the incentives."), _("Choose a training"), "trainings"
)
_LINK_ACCOUNT = Step(_("Link a bank account or an e-wallet that is in your own name."), _("Link an account"), "account")
_MEND_ACCOUNT = Step(_("What to do about it stands on the page of your account."), _("See my account"), "account")

#: What somebody does who has completed a training, and whose account is in the way.
_ACCOUNT: dict[DropOff, Step] = {
    DropOff.NO_ACCOUNT: _LINK_ACCOUNT,
    **dict.fromkeys(
        [
            DropOff.ACCOUNT_OF_ANOTHER,
            DropOff.ACCOUNT_INACTIVE,
            DropOff.ACCOUNT_NOT_UPGRADED,
            DropOff.ACCOUNT_PHONE_DIFFERS,
            DropOff.ACCOUNT_FULL,
        ],
        _MEND_ACCOUNT,
    ),
}

#: What keeps people out for good.
_FOR_LIFE = (DropOff.RECIPIENT_BEFORE, DropOff.REVOKED_BEFORE)


#: What is known of the SMS with the code, where receipts come in.
_SMS: dict[News, Step] = {
    News.WAITING: Step(_("We are sending you a code by SMS. That takes a minute."), _("Type the code"), "code"),
    News.ON_ITS_WAY: Step(
        _("The SMS with your code is on its way. When it is there, type it in."), _("Type the code"), "code"
    ),
    News.DELIVERED: Step(_("The SMS with your code has been delivered. Type it in."), _("Type the code"), "code"),
    News.OVERDUE: Step(
        _("We have not heard that the SMS with your code was delivered. If it is not there, ask for a new one."),
        _("Type the code"),
        "code",
    ),
    News.FAILED: Step(_("The SMS with your code was not delivered. Ask for a new one."), _("Send a new code"), "code"),
}


def ladder(registrant: Registrant) -> list[Rung]:
    """The rungs in order, with the instants at which the registrant reached them."""
    return [Rung(str(stage.label), getattr(registrant, stage.timestamp), stage == registrant.stage) for stage in Stage]


def why(registrant: Registrant) -> str | None:
    return str(WHY[DropOff(registrant.drop_off)]) if registrant.drop_off else None


def next_step(registrant: Registrant, waves: Sequence[Mine] = (), membership: Membership | None = None) -> Step | None:
    """The one next thing; `waves`: the registrant's own, the newest first."""
    reason, stage = DropOff(registrant.drop_off), Stage(registrant.stage)
    if stage == Stage.PHONE_VERIFIED:
        return None if reason in _FOR_LIFE else _of_waves(waves)
    if stage >= Stage.SELECTED:
        return None if reason.is_final else _after_selection(registrant, membership)
    if reason:
        return _NEXT.get(reason)
    known = _SMS.get(news(registrant.pk)) if stage == Stage.IDENTITY_VERIFIED else None
    return known or _WAITING.get(stage)


def _of_waves(waves: Sequence[Mine]) -> Step:
    """What somebody who is fully verified does next."""
    if waves and waves[0].is_pending:
        number = waves[0].wave.number
        if waves[0].can_be_left:
            text = _("You have joined wave %(number)s. When it has closed, those who may take part are drawn.")
        else:
            text = _("Wave %(number)s, which you have joined, is closed. You will see here what comes of it.")
        return Step(text % {"number": number})
    wave = state.open_wave(pg.now())
    if wave is None:
        return Step(_("You are fully verified. Look in again when the next wave opens."))
    told = {"number": wave.number}
    return Step(
        _("Wave %(number)s is open. To take part in its draw, join it: you need not enter anything again.") % told,
        _("Join wave %(number)s") % told,
        "join_wave",
        acts=True,
    )


def _after_selection(registrant: Registrant, membership: Membership | None) -> Step:
    """What a recipient does next: buy, redeem, complete, rate, link an account, and wait for the money."""
    reason = DropOff(registrant.drop_off)
    match Stage(registrant.stage):
        case Stage.SELECTED:
            return Step(_buy_in_time(membership), _("Choose a training"), "trainings")
        case Stage.TRAINING_BOUGHT:
            return _ANOTHER_TRAINING if reason == DropOff.PURCHASE_CANCELLED else _of_training(registrant.pk)
        case Stage.TRAINING_COMPLETED:
            return _ACCOUNT.get(reason) or _of_first_training(registrant.pk, reason)
        case _:
            text = _(
                "Your incentives come month by month. When the next one comes, and what it waits for, stands on their page."
            )
            return Step(text, _("See my incentives"), "incentives")


def _buy_in_time(membership: Membership | None) -> Any:
    if membership is None or membership.days_left is None:
        return _("You were selected. Choose your first training: the programme pays for it.")
    days = membership.days_left
    if days == 0:
        return _(
            "You were selected. Today is the last day to buy your first training: without one, your membership is revoked."
        )
    return ngettext(
        "You were selected. You have %(days)s day left to buy your first training: without one, your membership is revoked.",
        "You were selected. You have %(days)s days left to buy your first training: without one, your membership is revoked.",
        days,
    ) % {"days": days}


def _of_training(registrant_id: int) -> Step:
    """Of the training that has come farthest; the newest one, of several."""
    bought = Purchase.objects.filter(registrant_id=registrant_id).exclude(state=Purchase.State.CANCELLED)
    purchase = bought.select_related("training__platform").order_by("-state", "-pk").first()
    if purchase is None:
        return _ANOTHER_TRAINING
    told = {"title": purchase.training.title, "platform": purchase.training.platform.name}
    if purchase.state == Purchase.State.ISSUED:
        text = _("Redeem the code of “%(title)s” at %(platform)s. Then the training begins.") % told
        return Step(text, _("See my redeem code"), "purchase", of=purchase.pk)
    text = _("Take “%(title)s” at %(platform)s to its end. The incentives begin when you have completed it.") % told
    return Step(text, _("See my training"), "purchase", of=purchase.pk)


def _of_first_training(registrant_id: int, reason: DropOff) -> Step:
    """Of the completed training that opens the incentives: what is missing, as long as nothing else is in the way."""
    first = Purchase.objects.filter(registrant_id=registrant_id, is_first=True).first()
    if first and not Review.objects.filter(pk=first.pk).exists():
        text = _("Rate your training and write a review: without both, we may not pay your incentives.")
        return Step(text, _("Rate my training"), "review_training", of=first.pk)
    if first and reason == DropOff.CERTIFICATE_MISSING:
        text = _("You need not do anything. If it is not there after a week, ask your training provider for it.")
        return Step(text, _("See my training"), "purchase", of=first.pk)
    text = _("You have done everything. When your first incentive comes stands on the page of your incentives.")
    return Step(text, _("See my incentives"), "incentives")


def waits_for_us(registrant: Registrant) -> bool:
    """Whether the next move is ours, within the minute: the page looks again by itself."""
    return registrant.stage == Stage.EMAIL_VERIFIED and not registrant.drop_off
