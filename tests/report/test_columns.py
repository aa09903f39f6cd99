"""Each column of the report's tables holds the figure that its head names, of its own point.

Every figure of the results has a value of its own; what each head means is written down here.
"""

import json

import pytest

from dspark_bench.reading.gather import gather
from dspark_bench.report.markdown import render_markdown
from dspark_bench.report.page import build_page
from tests.report.folders import cells, write_sweep

RESULTS = {
    "S": ("speedup", ".2f"),
    "low": ("speedup_ci_low", ".2f"),
    "high": ("speedup_ci_high", ".2f"),
    "noise floor": ("noise_floor", ".3f"),
    "S theory": ("speedup_theory", ".2f"),
    "S model": ("speedup_model", ".2f"),
    "tau": ("accepted_length", ".2f"),
    "alpha": ("alpha", ".3f"),
    "c": ("draft_cost_ratio", ".3f"),
    "tok/s": ("throughput_tok_s", ".1f"),
    "tok/s per user": ("tok_s_per_user", ".1f"),
    "TTFT p50, s": ("ttft_p50_s", ".4f"),
    "TPOT p50, s": ("tpot_p50_s", ".5f"),
    "TPOT p99, s": ("tpot_p99_s", ".5f"),
    "verify budget": ("verify_budget", ".2f"),
    "baseline over floor": ("baseline_floor_ratio", ".2f"),
    "requests": ("n_requests", ".0f"),
}
NOISE = {
    "S": ("speedup", ".2f"),
    "low": ("speedup_ci_low", ".2f"),
    "high": ("speedup_ci_high", ".2f"),
    "noise floor": ("noise_floor", ".3f"),
    "A/A": ("aa_ratio", ".3f"),
    "A/A low": ("aa_ratio_ci_low", ".3f"),
    "A/A high": ("aa_ratio_ci_high", ".3f"),
}
GAP = {
    "S theory": ("speedup_theory", ".2f"),
    "truncation": ("gap_truncation", "+.2f"),
    "non iid": ("gap_non_iid", "+.2f"),
    "draft cost": ("gap_draft_cost", "+.2f"),
    "verify cost": ("gap_verify_cost", "+.2f"),
    "overhead": ("gap_overhead", "+.2f"),
    "prefill and batching": ("gap_prefill_and_batching", "+.2f"),
    "S": ("speedup", ".2f"),
}
BOUNDS = ("speedup", "speedup_theory", "accepted_length", "alpha", "aa_ratio")
MACHINE = {
    "other cores": ("other_cores", 0.31, ".2f"),
    "at most": ("other_cores_max", 0.42, ".2f"),
    "steal": ("steal_share", 0.0053, ".4f"),
    "MHz low": ("frequency_min_mhz", 3011.0, ".0f"),
    "MHz high": ("frequency_max_mhz", 3122.0, ".0f"),
}
GPU = {
    "busy": ("utilisation_mean", ".2f"),
    "W": ("power_mean_w", ".1f"),
    "W at most": ("power_max_w", ".1f"),
    "J per token": ("energy_per_token_j", ".4f"),
    "MHz": ("sm_clock_mean_mhz", ".0f"),
    "MHz at least": ("sm_clock_min_mhz", ".0f"),
    "bytes in use": ("memory_used_max_bytes", ".0f"),
}


def figures(place: int) -> dict[str, float]:
    """A value for each figure, no two alike, and other ones for each place."""
    names = dict.fromkeys(name for heads in (RESULTS, NOISE, GAP) for name, _ in heads.values())
    found = {name: 1.01 + 10 * place + number * 0.1137 for number, name in enumerate(names)}
    for number, name in enumerate(BOUNDS):
        found[f"{name}_ci_low"] = 0.2 + 10 * place + number * 0.1137
        found[f"{name}_ci_high"] = 5.2 + 10 * place + number * 0.1137
    return found | {"n_requests": 24.0 + place}


def gpu_arm(place: int, offset: float) -> dict[str, object]:
    """One arm's block: values of its own, and what held its clocks down."""
    values = {
        name: 10.0 * place + offset + number * 1.0203
        for number, (name, _) in enumerate(GPU.values())
    }
    return {**values, "clock_reasons": {"power_cap": 0.5}}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The report, as Markdown, of two points at gamma 2 and 7."""
    folder = tmp_path_factory.mktemp("report") / "s"
    points = [cells(name, gamma=gamma) | figures(n) for n, (name, gamma) in enumerate(
        (("first", 2), ("second", 7)))]  # fmt: skip
    write_sweep(folder, points)
    for place, name in enumerate(("first", "second")):
        path = folder / "points" / name / "metrics.json"
        content = json.loads(path.read_text())
        content["intervals"]["speedup"]["n"] = 31 + place
        content["noise_floor"] = {"n": 41 + place}
        content["machine"] = {"num_cores": 4} | {
            key: value + place for key, value, _ in MACHINE.values()
        }
        content["gpu"] = {
            "arms": {"speculative": gpu_arm(place, 3.0), "baseline": gpu_arm(place, 5.5)}
        }
        path.write_text(json.dumps(content))
    return render_markdown(build_page(gather(folder), (), ()))


def tables(markdown: str) -> list[list[dict[str, str]]]:
    """Rows of every table, by the heads of its columns."""
    found: list[list[dict[str, str]]] = []
    heads: list[str] = []
    for line in markdown.splitlines():
        texts = [text.strip() for text in line.strip().strip("|").split("|")]
        if not line.startswith("|"):
            heads = []
        elif not heads:
            heads = texts
            found.append([])
        elif set(line) - set("|-: "):
            found[-1].append(dict(zip(heads, texts, strict=True)))
    return found


def rows_with(markdown: str, *heads: str) -> list[dict[str, str]]:
    """Rows of the one table that has these columns, the first point first."""
    (chosen,) = [rows for rows in tables(markdown) if rows and set(heads) <= set(rows[0])]
    assert [row["gamma"] for row in chosen] == ["2", "7"]
    return chosen


@pytest.mark.parametrize(
    ("heads", "mark"), [(RESULTS, "TPOT p99, s"), (NOISE, "A/A low"), (GAP, "truncation")]
)
def test_every_column_holds_the_figure_that_its_head_names(
    told: str, heads: dict[str, tuple[str, str]], mark: str
) -> None:
    for place, row in enumerate(rows_with(told, mark)):
        own = figures(place)
        found = {head: row[head] for head in heads}
        assert found == {head: format(own[name], form) for head, (name, form) in heads.items()}


def test_units_pairs_and_the_machine_are_those_of_the_point(told: str) -> None:
    for place, row in enumerate(rows_with(told, "TPOT p99, s")):
        assert row["n"] == str(31 + place)
    for place, row in enumerate(rows_with(told, "A/A low")):
        assert row["pairs"] == str(41 + place)
        expected = {head: format(value + place, form) for head, (_, value, form) in MACHINE.items()}
        assert {head: row[head] for head in MACHINE} == expected


def test_both_arms_of_a_gpu_have_columns_of_their_own(told: str) -> None:
    for place, row in enumerate(rows_with(told, "J per token")):
        for prefix, offset in (("", 3.0), ("baseline: ", 5.5)):
            own = gpu_arm(place, offset)
            expected = {head: format(own[name], form) for head, (name, form) in GPU.items()}
            assert {head: row[f"{prefix}{head}"] for head in GPU} == expected
        assert row["clocks held down by"] == "power_cap"


def test_no_two_figures_that_are_shown_are_alike() -> None:
    """Else a column taken for another would read the same."""
    for place in (0, 1):
        own = figures(place)
        for heads in (RESULTS, NOISE, GAP):
            shown = [format(own[name], form).lstrip("+") for name, form in heads.values()]
            assert len({float(text) for text in shown}) == len(shown)
        texts = [str(value) for value in own.values()]
        assert len(set(texts)) == len(texts)
