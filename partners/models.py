"""Organisations that work with the programme: platforms, training providers, banks and e-wallets. No person is known here."""

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class Partner(models.Model):
    """An organisation, in one part or in several."""

    #: Also the `client_code` of its signed calls.
    code = models.SlugField(primary_key=True, max_length=40)
    name = models.CharField(max_length=200)
    is_platform = models.BooleanField(_("sells trainings"), default=False)
    is_provider = models.BooleanField(_("gives trainings"), default=False)
    is_payer = models.BooleanField(_("pays incentives"), default=False)
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ["code"]
        constraints = [
            models.CheckConstraint(
                name="partner_has_a_part",
                condition=Q(is_platform=True) | Q(is_provider=True) | Q(is_payer=True),
            )
        ]

    def __str__(self) -> str:
        return self.code
