"""Prompts, traces, step costs, calibrations and recorded outputs."""

import gzip
import json
from typing import Any

from tests.bad_input.case import Case, Prepare, overridden
from tests.bad_input.edits import DEEP, edit_json, folder, keys, remove, without, write

_PROMPTS: dict[str, tuple[str | bytes, str]] = {
    "empty file": ("", "holds no prompt"),
    "blank lines": ("\n \n\t\n", "holds no prompt"),
    "no JSON": ("hello there", "prompts.jsonl:1: not valid JSON"),
    "cut off": ('{"prompt": "a"}\n{"prompt": "b', "prompts.jsonl:2: not valid JSON"),
    "nested without end": (DEEP, "prompts.jsonl:1: not valid JSON"),
    "a number of 5,000 digits": ('{"prompt": ' + "9" * 5000 + "}", "prompts.jsonl:1"),
    "a list": ('["a"]', "prompts.jsonl[1]: a str"),
    "lists": ('["a"]\n["b"]', "prompts.jsonl:1: a list"),
    "an array cut off": ('[{"prompt": "a"},\n{"prompt": "b"', "prompts.jsonl:2: not valid JSON"),
    "half of a packed file": (gzip.compress(b'{"prompt": "a"}')[:-9], "it cannot be unpacked"),
    "a zip archive": (b"PK\x03\x04 and more", "it is a zip archive"),
    "half of a Parquet file": (b"PAR1 and no more", "cannot read prompts prompts.jsonl"),
    "a picture": (
        '{"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}',
        "a part of a message is 'image_url'; valid: parts of type text",
    ),
    "choices that are not read": ('{"question": "a", "choices": ["b"]}', "'choices' belongs"),
    "a word": ('"a"', "prompts.jsonl:1: a str"),
    "null": ("null", "prompts.jsonl:1"),
    "an empty object": ("{}", "has the keys nothing"),
    "no prompt": ('{"text": "a"}', "has the keys text"),
    "two kinds": ('{"prompt": "a", "turns": ["b"]}', "has the keys prompt, turns"),
    "an empty prompt": ('{"prompt": ""}', "is no prompt"),
    "a blank prompt": ('{"prompt": " \\n "}', "is no prompt"),
    "a prompt of a number": ('{"prompt": 7}', "7 is no prompt"),
    "a prompt of null": ('{"prompt": null}', "None is no prompt"),
    "no turns": ('{"turns": []}', "turns is []"),
    "turns of text": ('{"turns": "a"}', "turns is 'a'"),
    "a turn of a number": ('{"turns": [7]}', "7 is no prompt"),
    "messages of text": ('{"messages": "a"}', "messages is 'a'"),
    "a message of text": ('{"messages": ["a"]}', "message 'a'"),
    "a message without content": ('{"messages": [{"role": "user"}]}', "message {'role'"),
    "a message of null": ('{"messages": [{"role": "user", "content": null}]}', "None is no"),
    "the last message from the model": (
        '{"messages": [{"role": "assistant", "content": "a"}]}',
        "'assistant'",
    ),
    "one id twice": ('{"id": 1, "prompt": "a"}\n{"id": "1", "prompt": "b"}', "the id '1'"),
    "not UTF-8": (b'{"prompt": "caf\xe9"}', "prompts.jsonl"),
    "UTF-16 without a mark": ('{"prompt": "a"}'.encode("utf-16-le"), "it holds null bytes"),
    "null bytes": (b"\x00" * 500, "it holds null bytes"),
    "half a character": ('{"prompt": "\\ud800"}', "half of a surrogate pair"),
    "half a character in an id": ('{"id": "\\udfff", "prompt": "a"}', "half of a surrogate pair"),
    "half a character in a role": (
        '{"messages": [{"role": "\\ud800", "content": "a"}, {"role": "user", "content": "b"}]}',
        "half of a surrogate pair",
    ),
    "too long for the target": (
        "\n".join(json.dumps({"prompt": f"word {n} " * 300}) for n in range(4)),
        "4 of 4 prompts of prompts.jsonl are too long: workload.too_long=skip leaves them out",
    ),
    "a megabyte in one prompt": (
        "\n".join(json.dumps({"prompt": f"{n} " * 250_000}) for n in range(4)),
        "tokens; valid: up to",
    ),
    "too few": ('{"prompt": "a"}', "2 test prompts wanted"),
}
_TRACES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "trace.jsonl"),
    "a line of no JSON": ('{"timestamp": 1', "trace.jsonl, line 1"),
    "a line that is a list": (
        '{"timestamp": 0, "input_length": 1, "output_length": 1}\n[]',
        "line 2",
    ),
    "a field missing": ('{"timestamp": 0, "input_length": 1}', "line 1"),
    "a field of text": ('{"timestamp": "now", "input_length": 1, "output_length": 1}', "line 1"),
    "a field of null": ('{"timestamp": null, "input_length": 1, "output_length": 1}', "line 1"),
    "negative tokens": ('{"timestamp": 0, "input_length": -1, "output_length": 1}', "line 1"),
    "half a token": ('{"timestamp": 0, "input_length": 1, "output_length": 1.5}', "line 1"),
    "a time that is no number": (
        '{"timestamp": NaN, "input_length": 1, "output_length": 1}',
        "line 1",
    ),
    "an infinite time": ('{"timestamp": 1e999, "input_length": 1, "output_length": 1}', "line 1"),
    "infinite tokens": ('{"timestamp": 0, "input_length": 1e999, "output_length": 1}', "line 1"),
    "a number too large for a float": (
        '{"timestamp": ' + "9" * 400 + ', "input_length": 1, "output_length": 1}',
        "line 1",
    ),
    "a negative arrival": (
        '{"timestamp": 0, "input_length": 1, "output_length": 1}\n'
        '{"timestamp": -5, "input_length": 1, "output_length": 1}',
        "line 2: comes before the row above it (-5 after 0)",
    ),
    "nested without end": ('{"a":' * 100_000, "line 1"),
    "too few requests": (
        '{"timestamp": 0, "input_length": 1, "output_length": 1}',
        "num_requests is 2",
    ),
    "not UTF-8": (b"{\xff\xfe", "trace.jsonl"),
    "half of a packed file": (gzip.compress(b'{"timestamp": 0}')[:-9], "it cannot be unpacked"),
    "null bytes": (b"\x00" * 100, "trace.jsonl"),
    "no known header": ("when,what\n1,2", "its first line is neither"),
    "a header and no rows": ("Timestamp,Request tokens,Response tokens\n", "no request"),
    "a row cut off": ("Timestamp,Request tokens,Response tokens\n1,2", "line 2"),
    "a row of text": ("Timestamp,Request tokens,Response tokens\na,b,c", "line 2"),
    "a date that is none": (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-13-45 00:00:00,1,1",
        "line 2",
    ),
    "a quote that is never closed": (
        'Timestamp,Request tokens,Response tokens\n"1,2,3' + "x" * 200_000,
        "trace.jsonl",
    ),
}
_DATED = ("a date that is none",)
"""Their times are dates, so that no unit may be told."""
_COSTS: dict[str, tuple[Prepare, str]] = {
    "missing": (remove("costs.json"), "cost.path is costs.json"),
    "a folder": (folder("costs.json"), "cost.path is costs.json"),
    "empty": (write("costs.json", ""), "cost.path is costs.json"),
    "not UTF-8": (write("costs.json", b"\xff"), "cost.path is costs.json"),
    "a list": (write("costs.json", "[]"), "cost.path is costs.json"),
    "nested without end": (write("costs.json", DEEP), "cost.path is costs.json"),
    "the surface of text": (keys("costs.json", surface="x"), "cost.path is costs.json"),
    "a part missing": (
        edit_json("costs.json", lambda c: c["surface"].pop("slots") and None),
        "it has no 'slots'",
    ),
    "a part that is null": (
        edit_json("costs.json", lambda c: c["surface"].update(widths=None)),
        "cost.path is costs.json",
    ),
    "seconds of text": (
        edit_json("costs.json", lambda c: c["surface"].update(absorb_s=["a", "b"])),
        "cost.path is costs.json",
    ),
    "negative seconds": (
        edit_json("costs.json", lambda c: c["surface"].update(step_s=[[-1, 1], [1, 1]])),
        "step_s",
    ),
    "infinite seconds": (
        edit_json("costs.json", lambda c: c["surface"].update(step_s=[[1e999, 1], [1, 1]])),
        "step_s",
    ),
    "a row too short": (
        edit_json("costs.json", lambda c: c["surface"].update(step_s=[[1], [1, 1]])),
        "step_s",
    ),
    "a grid that falls": (
        edit_json("costs.json", lambda c: c["surface"].update(requests=[4, 1])),
        "requests is [4, 1]",
    ),
    "a grid of text": (
        edit_json("costs.json", lambda c: c["surface"].update(requests=["a", "b"])),
        "cost.path is costs.json",
    ),
    "an empty grid": (
        edit_json("costs.json", lambda c: c["surface"].update(requests=[])),
        "requests is []",
    ),
}
_CALIBRATIONS: dict[str, tuple[Prepare, str]] = {
    "missing": (remove("calibration.json"), "calibrator.path is calibration.json"),
    "a folder": (folder("calibration.json"), "calibration.json"),
    "empty": (write("calibration.json", ""), "calibration.json"),
    "not UTF-8": (write("calibration.json", b"\xff\xfe"), "calibration.json"),
    "nested without end": (write("calibration.json", DEEP), "calibration.json"),
    "a list": (write("calibration.json", "[]"), "calibration.json"),
    "another version": (keys("calibration.json", schema_version=9), "schema_version is 9"),
    "a version of a list": (keys("calibration.json", schema_version=[1]), "schema_version is [1]"),
    "no entries": (without("calibration.json", "calibrations"), "is damaged"),
    "entries of text": (keys("calibration.json", calibrations=["a"]), "is damaged"),
    "an entry without sampling": (
        edit_json("calibration.json", lambda c: c["calibrations"][0].pop("sampling") and None),
        "is damaged",
    ),
    "sampling of other keys": (
        edit_json("calibration.json", lambda c: c["calibrations"][0].update(sampling={"a": [1]})),
        "is damaged",
    ),
    "temperatures of zero": (
        edit_json("calibration.json", lambda c: c["calibrations"][0].update(temperatures=[0.0])),
        "is damaged",
    ),
    "temperatures of NaN": (
        edit_json(
            "calibration.json", lambda c: c["calibrations"][0].update(temperatures=[float("nan")])
        ),
        "is damaged",
    ),
    "no temperatures": (
        edit_json("calibration.json", lambda c: c["calibrations"][0].update(temperatures=[])),
        "is damaged",
    ),
    "a temperature too large for a float": (
        edit_json(
            "calibration.json", lambda c: c["calibrations"][0].update(temperatures=[10**400])
        ),
        "is damaged",
    ),
}
_RECORDED: dict[str, Any] = {
    "cut off": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a token changed": lambda text: text.replace('"tokens": [\n  [', '"tokens": [\n  [9,', 1),
    "a list": lambda text: "[]",
    "nested without end": lambda text: DEEP,
    "tokens of text": lambda text: '{"tokens": "abc", "identity": "x"}',
    "tokens of null": lambda text: '{"tokens": null, "identity": "x"}',
}


def cases() -> list[Case]:
    """The catalogue's part."""
    return [*_prompts(), *_traces(), *_costs(), *_calibrations(), *_recordings()]


def _prompts() -> list[Case]:
    sweep = overridden("sweep")
    found = [
        Case("prompts", name, sweep, says, write("prompts.jsonl", content))
        for name, (content, says) in _PROMPTS.items()
    ]
    found += [
        Case("prompts", name, sweep, says, prepare)
        for name, prepare, says in (
            ("missing", remove("prompts.jsonl"), "cannot read prompts prompts.jsonl"),
            ("a folder", folder("prompts.jsonl"), "cannot read prompts prompts.jsonl"),
        )
    ]
    found += [
        Case("prompts", f"for {verb}: {name}", overridden(verb), says, write("prompts.jsonl", text))
        for verb in ("verify", "profile", "calibrate", "run")
        for name, text, says in (
            ("empty file", "", "holds no prompt"),
            ("no JSON", "hello", "prompts.jsonl:1: not valid JSON"),
        )
    ]
    found.append(
        Case(
            "prompts",
            "for calibrate: too few",
            overridden("calibrate", "measure.calibration_requests=1"),
            "valid: 2 or more",
        )
    )
    return found


def _traces() -> list[Case]:
    timed = ("load=trace", "load.path=trace.jsonl", "load.time_unit=ms")
    trace = overridden("sweep", *timed)
    found = [
        Case("traces", name, trace, says, write("trace.jsonl", content))
        for name, (content, says) in _TRACES.items()
        if name not in _DATED
    ]
    found += [
        Case("traces", name, trace[:-1], _TRACES[name][1], write("trace.jsonl", _TRACES[name][0]))
        for name in _DATED
    ]
    found += [
        Case("traces", name, arguments, says)
        for name, arguments, says in (
            ("not named", overridden("sweep", "load=trace"), "load.path is not given"),
            (
                "nowhere",
                overridden("sweep", "load=trace", "load.path=nowhere.csv"),
                "nowhere.csv: no such file",
            ),
            ("a folder", overridden("sweep", "load=trace", "load.path=target"), "target"),
            ("a unit of JSON that is not told", trace[:-1], "give load.time_unit=ms (Mooncake"),
            (
                "another unit",
                (*trace[:-1], "load.time_unit=h"),
                "load.time_unit is 'h'; valid: s, ms",
            ),
            (
                "a scale of zero",
                (*trace, "load.time_scale=0"),
                "load.time_scale is 0",
            ),
            ("lengths not named", overridden("sweep", "lengths=trace"), "lengths.path"),
            (
                "lengths nowhere",
                overridden("sweep", "lengths=trace", "lengths.path=nowhere.csv"),
                "lengths.path is nowhere.csv",
            ),
        )
    ]
    return found


def _costs() -> list[Case]:
    costs = overridden("sweep", "scheduler=hardware_aware", "cost=file", "cost.path=costs.json")
    found = [Case("costs", name, costs, says, prepare) for name, (prepare, says) in _COSTS.items()]
    found += [
        Case("costs", f"for plot: {name}", ("plot", "costs.json"), "costs.json", prepare)
        for name, (prepare, _) in _COSTS.items()
        if name != "a folder"
    ]
    return found


def _calibrations() -> list[Case]:
    calibrated = overridden("sweep", "calibrator.path=calibration.json")
    found = [
        Case("calibrations", name, calibrated, says, prepare)
        for name, (prepare, says) in _CALIBRATIONS.items()
        if name != "sampling of other keys"
    ]
    found += [
        Case(
            "calibrations",
            f"to write to: {name}",
            overridden("calibrate", "calibrator.path=calibration.json"),
            says,
            prepare,
        )
        for name, (prepare, says) in _CALIBRATIONS.items()
        if name in ("a folder", "empty", "another version", "nested without end")
    ]
    return found


def _recordings() -> list[Case]:
    return [
        Case(
            "recorded outputs",
            name,
            overridden("sweep", "acceptance=replay", "name=again", "measure.repeats=2"),
            "are damaged",
            _recorded(change),
        )
        for name, change in _RECORDED.items()
    ]


def _recorded(change: Any) -> Prepare:
    """Change the text of every recording of the box."""

    def prepare(box: Any) -> None:
        paths = list((box / "results" / ".continuations").glob("*.json"))
        assert paths
        for path in paths:
            path.write_text(change(path.read_text()))

    return prepare
