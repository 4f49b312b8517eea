"""The tables of the documentation are those of the figures they are made from."""

import json
from pathlib import Path

import pytest

from benchmarks import depth_tables, table2

RESULTS = Path(__file__).parents[1] / "docs" / "results"


@pytest.mark.parametrize(
    ("name", "as_markdown"),
    [("table2", table2.as_markdown), ("depth", depth_tables.as_markdown)],
)
def test_a_table_is_made_from_its_figures(name, as_markdown):
    figures = json.loads((RESULTS / f"{name}.json").read_text())
    assert (RESULTS / f"{name}.inc").read_text() == as_markdown(figures)


def test_table_2_holds_what_the_paper_claims_for_memory():
    rows = json.loads((RESULTS / "table2.json").read_text())["rows"]
    end_to_end = rows[-1]["steps"][0]["saved_bytes"]
    most = {2: 0.55, 4: 0.33}
    for row in rows[:-1]:
        for step in row["steps"]:
            assert step["saved_bytes"] <= most[row["row"][0]] * end_to_end
