"""(a) The whole chain, from sign-up to verified phone, as `manage.py simulate` runs it: sealing and mock services included."""

from benchmarks.clock import Watched, seconds, watched
from prakerja.simulation import programme
from prakerja.simulation.population import Population

#: What it is compared with: half of the people, and so many at most.
SMALL = 500_000
SAMPLE = 200_000


def generator() -> dict[str, float]:
    """How fast people are made up, on one core."""
    population = Population(1, programme.plan_registrants(SAMPLE))
    return {"generator_per_s": SAMPLE / seconds(lambda: sum(1 for _ in population.people()))}


def measure(people: int) -> dict[str, float]:
    """So many people, after a smaller run for comparison; leaves them in the database."""
    fewer = min((people + 1) // 2, SMALL)
    smaller, run = simulate(fewer), simulate(people)
    return {
        "smaller_people": fewer,
        "smaller_pipeline_per_s": fewer / smaller.seconds,
        "pipeline_per_s": people / run.seconds,
        "pipeline_s": run.seconds,
        "worker_rss_mb": max(run.memory),
        "all_python_rss_mb": sum(run.memory),
    }


def simulate(people: int) -> Watched:
    """The command, from its start to its report."""
    return watched("simulate", "--registrants", str(people), "--reset", "--seed", "1", "--without-draws")
