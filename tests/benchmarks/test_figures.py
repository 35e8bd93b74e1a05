"""What the benchmarks write down: every figure that is promised, and nothing that a part measured anew takes away."""

import json

import pytest

from benchmarks.__main__ import PROMISED, keep, ratios
from tests.processes import output_of

WHOLE = dict.fromkeys(PROMISED, 1.0) | {"people": 1000}

CHAIN = """
import django, json
django.setup()
from benchmarks import chain
print(json.dumps(chain.measure(300)))
"""


def test_a_part_that_is_measured_anew_leaves_the_others_as_they_were(tmp_path):
    file = tmp_path / "build" / "bench.json"
    keep(file, WHOLE, whole=True)

    keep(file, {"people": 1000, "naive_per_s": 2.0}, whole=False)

    assert json.loads(file.read_text()) == WHOLE | {"naive_per_s": 2.0}


@pytest.mark.parametrize(
    ("figures", "whole"), [({"people": 2000, "naive_per_s": 2.0}, False), (WHOLE | {"recount_s": 3.0}, True)]
)
def test_figures_of_other_people_and_of_a_whole_run_take_the_place_of_all_before(tmp_path, figures, whole):
    file = tmp_path / "bench.json"
    keep(file, WHOLE | {"of_old": 1.0}, whole=True)

    keep(file, figures, whole=whole)

    assert json.loads(file.read_text()) == figures


def test_a_whole_run_without_a_figure_that_is_promised_fails(tmp_path):
    with pytest.raises(SystemExit, match="not measured: naive_ratio, signup_ratio"):
        keep(
            tmp_path / "bench.json",
            {name: 1.0 for name in PROMISED if name not in ("signup_ratio", "naive_ratio")},
            whole=True,
        )


def test_a_ratio_is_of_one_run():
    assert ratios({"pipeline_per_s": 9.0}) == {}
    assert ratios({"pipeline_per_s": 9.0, "floor_per_s": 18.0, "naive_per_s": 3.0}) == {
        "floor_ratio": 2.0,
        "naive_ratio": 3.0,
    }


@pytest.mark.django_db(transaction=True)
def test_growth_is_measured_of_however_few_people():
    figures = json.loads(output_of(CHAIN))

    assert figures["smaller_people"] == 150
    assert ratios(figures) == {"growth_ratio": figures["pipeline_per_s"] / figures["smaller_pipeline_per_s"]}
