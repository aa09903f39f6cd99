"""The table of cases: what users met, what they typed, and the right exit code and lines.

Every row is a test (`test_table.py`). A case has as many rows as it has commands; its number is
that of the report it came from. `SMALL` stands for a small run of tiny models (`row.SMALL`).
"""

from typing import Final

from tests.cases import inputs as given
from tests.cases.layouts import LAYOUTS, SECONDS, TOOL_CALLS, burst, lines
from tests.cases.row import Row

_MINE: Final = "verify SMALL --config-dir own drafter=mine"
_DRY: Final = "run SMALL --dry-run"
_PROMPTS: Final = "sweep SMALL --dry-run num_requests=3 workload.path="
_TRACE: Final = f"{_DRY} load=trace lengths=trace num_requests=3 load.path="
_ONE: Final = "1 point: 0 finished, 1 to measure"

VERDICTS: Final = (
    Row(1, "a drafter that ends every text is not exact", _MINE, 1,
        ("emitted law", "FAIL", "end-of-text everywhere", "not exact: emitted law"),
        prepare=given.own_drafter("tests.plugins.EndOfTextDrafter", max_gamma=8),
        patch=given.few_draws),
    Row(2, "a look-up that misreads forced tokens is exact, and told so", _MINE, 0,
        ("contract: forced", "BROKEN", "contract broken: LookupDrafter.propose lets batch.forced"),
        ("not exact", "FAIL", "tilt"),
        given.own_drafter("tests.engine.lookup.LookupDrafter", claims_forced="true"),
        given.few_draws),
    Row(8, "a drafter of another target is asked about", "run SMALL", 0,
        ("the drafter's own embed_tokens.weight differs from its target's",
         "the drafter's own lm_head.weight differs from its target's",
         "accepted length below 1.1", "another target, layout or layer ids?"),
        prepare=given.tensors("semi_ar", embed_tokens__weight=given.TABLE,
                              lm_head__weight=given.TABLE)),
    Row(13, "three prompts give no verdict", "recommend results/lead", 0,
        ("too few", "not comparable: 3 units: no verdict below 6"), (" yes ", "draws level"),
        given.leads(3)),
    Row(13, "eight prompts give one", "recommend results/lead", 0,
        (" yes ", "draws level with"), ("too few",), given.leads(8)),
    Row(20, "short turns are not judged alone", "run SMALL", 0,
        ("noisy machine: other processes kept", "every turn was too short to be judged alone"),
        ("at most",), patch=given.short_turns_beside_others),
    Row(32, "behind the fastest by what the slower one lacks", "report results/behind", 0,
        ("behind the fastest by", "| 1.27 | 15.3% "), ("| 18.1% ",),
        given.behind, given.no_figures, "results/behind/report.md"),
)  # fmt: skip

CHECKPOINTS: Final = (
    Row(3, "a text ends at the tokens of generation_config.json", "run SMALL", 0,
        ("no cycle was speculated, every output ended with the token that its prompt gave",),
        prepare=given.ends_in_generation_config),
    Row(5, "an untied head that is missing", _DRY, 2,
        ("lacks the tensor 'lm_head.weight'", "valid: the tensor in its files, or a tied head"),
        prepare=given.config("target", tie_word_embeddings=False)),
    Row(7, "a drafter that does not draw from its anchor", _DRY, 2,
        ("sample_from_anchor is False; valid: True",),
        prepare=given.config("semi_ar", sample_from_anchor=False)),
    Row(7, "a causal head", _DRY, 2, ("dflash_config.causal_head is True; valid: False",),
        prepare=given.config("semi_ar", dflash_config={"causal_head": True})),
    Row(7, "a sliding window", _DRY, 2, ("layer_types holds 'sliding_attention'; valid: 'full_",),
        prepare=given.config("semi_ar", layer_types=["sliding_attention"])),
    Row(7, "a reduced vocabulary", _DRY, 2,
        ("tensor 'markov_head.markov_w2.weight' has shape (320, 8); expected (160, 8)",),
        prepare=given.config("semi_ar", draft_vocab_size=160)),
    Row(7, "the tensors of another head", _DRY, 2,
        ("holds the tensor 'markov_head.gate_proj.bias', not asked for", "'gated'"),
        prepare=given.tensors("semi_ar", markov_head__gate_proj__bias=(8,))),
    Row(7, "a tensor that nothing reads", _DRY, 2,
        ("holds the tensor 'fc_norm.weight', not asked for by its config.json",),
        prepare=given.tensors("semi_ar", fc_norm__weight=(32,))),
    Row(9, "a DSpark checkpoint as parallel",
        "sweep SMALL drafter=parallel drafter.path=parallel,semi_ar", 2,
        ("drafter.path='semi_ar': ", "a DSpark checkpoint, not a DFlash one; use drafter=semi_ar")),
    Row(24, "the folder that train.out named", f"{_DRY} drafter=semi_ar drafter.path=trained", 0,
        (_ONE,), prepare=given.trained("semi_ar")),
    Row(24, "one that holds two checkpoints", f"{_DRY} drafter=semi_ar drafter.path=trained", 2,
        ("trained/semi_ar",), prepare=given.trained("semi_ar", "parallel")),
)  # fmt: skip

RESULTS: Final = (
    Row(10, "prompt files are called by name", "recommend results/files", 0,
        ("gsm8k.jsonl, 1 request at a time", "mt-bench.jsonl, 1 request at a time"), ("hash",),
        given.two_prompt_files),
    *(Row(11, f"a killed sweep: {verb.split()[0]}", verb, 0, says, ("no measured point",),
          given.killed, given.no_figures, shown_in)
      for verb, says, shown_in in (
          ("recommend results/killed", ("semi_ar gamma 4", "semi_ar gamma 7"), None),
          ("report results/killed", ("2 measured points in 1 sweep",), "results/killed/report.md"),
          ("plot results/killed --kind s_curve", ("s_curve.png",), None),
      )),
)  # fmt: skip

COMMAND_LINE: Final = (
    Row(14, "a narrow terminal keeps S and its interval",
        "sweep SMALL --config-dir own drafter=mine gamma=1,2 temperature=0,0.5 name=wide", 0,
        ("speedup S over the paired baseline", "left out for want of width:", " S 95 %",
         *("3.25 2.75-4.00",) * 4), ("…",),
        given.own_drafter("tests.plugins.UniformDrafter", max_gamma=8), given.one_measurement,
        screen="60 columns"),
    Row(15, "nobody reads the output", "sweep SMALL gamma=1,2", 0,
        ('"gamma=1"', '"status": "finished"', '"gamma=2"', '"status": "finished"'), ("Hydra",),
        patch=given.one_measurement, shown_in="results/small/sweep.json", screen="closed pipe"),
    Row(16, "~ in results_dir", f"{_DRY} results_dir='~/r'", 0, ("HOME/r/small", _ONE), ("~",)),
    Row(16, "~ inside quotes", f"""{_DRY} "results_dir='~/r'" """, 0, ("HOME/r/small",), ("~",)),
    Row(16, "~ in target.path", f"{_DRY} target.path='~/models/m'", 2,
        ("no checkpoint directory at HOME/models/m",)),
    Row(16, "a variable that the shell has left", f"{_DRY} results_dir='$HOME/r'", 0,
        ("HOME/r/small",), ("$",)),
    Row(16, "one that is not set", f"{_DRY} results_dir='$NOWHERE/r'", 2,
        ("$NOWHERE/r: the environment has no variable NOWHERE",)),
    Row(16, "a path with ö ( = #", f"{_DRY} workload.path='größe (1)=#2.jsonl'", 0, (_ONE,),
        prepare=given.file("größe (1)=#2.jsonl", lines({"prompt": "a"}, {"prompt": "b"}))),
    Row(16, "text with ö", "run workload=größe", 2,
        ("quote it: \"workload='größe'\"",), ("lexer",)),
    Row(18, "--hydra-help", "run --hydra-help", 2, ("--hydra-help is not offered; dspark-bench",)),
    Row(19, "run --quick", "run +experiment=table1 --quick", 2,
        ("dspark-bench sweep +experiment=NAME --quick",), ("unknown option",)),
    *(Row(26, typed, f"run SMALL '{typed}'", 2, (says,), ("+",))
      for typed, says in (
          ("gama=2", "there is no key 'gama'; did you mean gamma?"),
          ("measure.repeat=1", "measure has no key 'repeat'; did you mean repeats?"),
          ("load.rate=3", "load=closed has no key 'rate'; load=constant|gamma|poisson has it"),
          ("drafter=eagle3", "did you mean drafter=ar?"),
          ("gamma=interval(1,4)", "valid: key=a,b or key=range(start,stop)"),
          ("drafter=glob(semi*)", "glob is not supported; valid: key=a,b"),
          ("top_k=-1", "top_k is -1; valid: 0 or more (0 keeps all tokens)"),
          ("stop=[x]", "there is no key 'stop'; valid: gamma, "),
      )),
    Row(26, "workload.path without jsonl", "run workload.path=x.jsonl", 2,
        ("workload=mixed has no key 'path'; workload=jsonl has it",), ("+",)),
    Row(27, "nothing to profile with, known at the start",
        "sweep SMALL gamma=1,2 scheduler=fixed,hardware_aware", 2,
        ("gamma=1 scheduler=hardware_aware: cost=profiled needs prompts to profile with",
         "(2 of 4 points cannot run)"), ("[1/",)),
    Row(27, "a scheduler without a drafter, known at the start",
        "sweep SMALL drafter=none,semi_ar scheduler=fixed,hardware_aware", 2,
        ("scheduler=hardware_aware needs a drafter; drafter is none",), ("[1/",)),
    Row(29, "a large sweep speaks before it checks", "sweep SMALL 'seed=range(0,60)' --dry-run", 0,
        ("checking 60 points", "60 points: 0 finished, 60 to measure")),
    Row(29, "one configuration of several", "sweep SMALL seed=1,2 --cfg job", 2,
        ("--cfg shows one point, but seed has several values",)),
    Row(30, "a fresh machine gets torch's small build", "make -n -B venv VENV=fresh", 0,
        ("--torch-backend=cpu -c constraints.txt torch", "pip install --quiet -c constraints.txt")),
    Row(30, "or the build for its GPU", "make -n -B venv VENV=fresh TORCH=auto", 0,
        ("--torch-backend=auto -c constraints.txt torch",), ("backend=cpu",)),
)  # fmt: skip

PROMPTS_AND_TRACES: Final = (
    Row(21, "one prompt in four is too long",
        f"{_DRY} num_requests=8 workload.path=bench.jsonl", 2,
        ("2 of 8 prompts of bench.jsonl are too long: workload.too_long=skip leaves them out",),
        prepare=given.file("bench.jsonl", given.long_prompts())),
    Row(21, "they are skipped and counted",
        "run SMALL num_requests=6 workload.path=bench.jsonl workload.too_long=skip", 0,
        ("1 of 7 test prompts drawn have more than", "are left out (workload.too_long=skip)",
         "S by domain", "maths semi_ar", "writing semi_ar"),
        prepare=given.file("bench.jsonl", given.long_prompts())),
    Row(22, "the same prompts in 14 layouts are two points, as chats and as text",
        f"{_PROMPTS}{','.join(LAYOUTS)}", 0, ("2 points: 0 finished, 2 to measure",),
        prepare=given.files(LAYOUTS)),
    Row(22, "more prompts than a file has", f"{_PROMPTS}two.csv", 2,
        ("3 test prompts wanted from two.csv; valid: 1 to 2",),
        prepare=given.file("two.csv", 'prompt,id\n"What is 2+2?",1\n"Why?",2\n')),
    Row(22, "calls of tools", f"{_PROMPTS}tools.jsonl", 2,
        ("has calls of tools, or names, that only a chat template can write",),
        prepare=given.file("tools.jsonl", TOOL_CALLS)),
    Row(23, "a trace that does not say its unit", f"{_TRACE}trace.jsonl", 2,
        ("does not say whether its times are seconds or milliseconds; give load.time_unit=ms",
         "load.time_unit=s (Alibaba Bailian: within 3 s)"),
        prepare=given.file("trace.jsonl", SECONDS)),
    Row(23, "seconds, and how long arrivals take", f"{_TRACE}trace.jsonl load.time_unit=s", 0,
        (_ONE, "arrivals alone take "), prepare=given.file("trace.jsonl", SECONDS)),
    Row(23, "a blank line and a space before the first", f"{_TRACE}t.jsonl load.time_unit=ms", 0,
        (_ONE,), prepare=given.file("t.jsonl", "\n " + SECONDS)),
    Row(23, "a compressed table", f"{_TRACE}trace.csv.gz", 0, (_ONE,),
        prepare=given.file("trace.csv.gz", burst(5, 45, 118))),
    Row(23, "rows out of order", f"{_TRACE}trace.csv", 2,
        ("trace.csv, line 3: comes before the row above it (45 after 118); valid: rows in order",),
        prepare=given.file("trace.csv", burst(118, 45, 5))),
)  # fmt: skip

ROWS: Final = (*VERDICTS, *CHECKPOINTS, *RESULTS, *COMMAND_LINE, *PROMPTS_AND_TRACES)
