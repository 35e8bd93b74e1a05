"""The simulation's own memory."""

from django.db import models
from django.db.models import Q


class Run(models.Model):
    """The one simulation that this database has lived through, or is living through."""

    id = models.PositiveSmallIntegerField(primary_key=True, default=1)
    seed = models.IntegerField()
    #: The number of registrants at scale 1 that one simulated registrant stands for, as a fraction: exact at any scale.
    scale = models.CharField(max_length=60)
    first_wave = models.PositiveSmallIntegerField()
    last_wave = models.PositiveSmallIntegerField()

    class Meta:
        constraints = [models.CheckConstraint(name="one_run", condition=Q(id=1))]

    def __str__(self) -> str:
        return f"Simulation at scale {self.scale}, seed {self.seed}"
