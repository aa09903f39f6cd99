"""YAML in --config-dir that is broken, names the wrong class, or forgets a key."""

from tests.bad_input.case import Case, overridden
from tests.bad_input.edits import DEEP, both, folder, write

_DRAFTERS: dict[str, tuple[str, str]] = {
    "a bracket that is not closed": ("_target_: [", "mine.yaml"),
    "a tab for indentation": ("_target_: a.b\n\tpath: x", "mine.yaml"),
    "two documents": ("_target_: a.B\n---\n_target_: c.D", "mine"),
    "a list": ("- _target_: a.B", "mine"),
    "a word": ("hello", "mine"),
    "a number": ("7", "mine"),
    "a key twice": ("_target_: a.B\n_target_: c.D", "_target_"),
    "an anchor that does not exist": ("_target_: *nowhere", "nowhere"),
    "an anchor that holds itself": ("a: &a [*a]", "mine"),
    "anchors that unfold without end": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(
            f"{new}: &{new} [{','.join([f'*{old}'] * 9)}]\n"
            for old, new in zip("abcdefg", "bcdefgh", strict=True)
        ),
        "mine",
    ),
    "a tag that would build a Python object": (
        "_target_: !!python/object/apply:os.system ['touch owned']",
        "python/object/apply:os.system",
    ),
    "an interpolation to nowhere": ("_target_: ${nowhere.at_all}", "nowhere.at_all"),
    "an interpolation to itself": ("_target_: ${drafter._target_}", "drafter._target_"),
    "an interpolation that is cut off": ("_target_: ${gamma", "${gamma"),
    "defaults that name no file": ("defaults: [nowhere]\n_target_: a.B", "nowhere"),
    "defaults that name themselves": ("defaults: [mine]\n_target_: a.B", "refers to itself"),
    "defaults of a wrong type": ("defaults: 7\n_target_: a.B", "mine"),
    "nested deeper than a parser goes": (DEEP, "mine"),
    "a class that does not exist": ("_target_: no_such_package.Drafter", "no_such_package"),
    "a class without a module": ("_target_: Drafter", "Drafter"),
    "a function for a class": ("_target_: json.dumps", "json.dumps"),
    "a number for a class": ("_target_: 7", "_target_"),
    "a list for a class": ("_target_: [a, b]", "_target_"),
    "an empty class": ("_target_: ''", "_target_ is ''"),
    "a class of another kind": ("_target_: collections.OrderedDict", "OrderedDict"),
    "one of ours without its keys": (
        "_target_: dspark_bench.drafters.semi_ar.SemiAutoregressiveDrafter",
        "drafter=mine",
    ),
    "one of ours with keys of another": (
        "_target_: dspark_bench.drafters.semi_ar.SemiAutoregressiveDrafter\n"
        "path: semi_ar\nwidth: 3",
        "width",
    ),
    "gamma of its own": (
        "_target_: dspark_bench.drafters.semi_ar.SemiAutoregressiveDrafter\n"
        "path: semi_ar\ngamma: 3",
        "gamma lives at the root",
    ),
    "a module that fails when imported": ("_target_: broken_plugin.Drafter", "broken_plugin"),
    "a path that is a mapping": (
        "_target_: dspark_bench.drafters.semi_ar.SemiAutoregressiveDrafter\npath: {a: 1}",
        "{'a': 1}",
    ),
}
_OTHERS: dict[str, tuple[str, str, str]] = {
    "a scheduler without a class": ("scheduler", "x: 3", "names no class"),
    "a load that is a scheduler": (
        "load",
        "_target_: dspark_bench.schedulers.fixed.FixedScheduler",
        "load=mine",
    ),
    "a workload that is a load": (
        "workload",
        "_target_: dspark_bench.loads.closed.ClosedLoad\nconcurrency: 1",
        "workload=mine",
    ),
    "a scheduler that is a load": (
        "scheduler",
        "_target_: dspark_bench.loads.closed.ClosedLoad\nconcurrency: 1",
        "scheduler=mine",
    ),
    "an engine with a key that is not known": (
        "engine",
        "device: cpu\nspeed: fast",
        "speed",
    ),
    "a measure with text for a number": ("measure", "repeats: many", "many"),
    "a target with a key that is not known": ("target", "url: x", "url"),
}
_LISTS: dict[str, tuple[str, str]] = {
    "with an unknown key": ("full: {gamma: 2}\nspeed: 3", "speed"),
    "without its full size": ("quick: {gamma: 2}", "full"),
    "with text for a size": ("full: much", "full"),
    "with an empty size": ("full: []", "full"),
    "with text for the sweeps": ("full: {gamma: 2}\nsweeps: all", "sweeps"),
    "with members that do not exist": ("experiments: [nowhere]", "nowhere"),
    "with itself as a member": ("experiments: [mine]", "mine"),
    "with text for its members": ("experiments: all", "experiments"),
    "with a member of a wrong type": ("experiments: [{a: 1}]", "mine"),
    "without members": ("experiments: []", "experiments"),
    "with a value that does not fit": ("full: {gamma: two}", "gamma=two"),
    "with a nested value": ("full: {measure: {repeats: 2}}", "measure"),
    "that is broken": ("full: [", "mine.yaml"),
    "that is not UTF-8": ("full: {gamma: 2} # \udcff", "mine.yaml"),
    "of Hydra's kind with a wrong key": ("# @package _global_\ngama: 3", "gama"),
}


def cases() -> list[Case]:
    """The catalogue's part."""
    found = [
        Case(
            "config-dir",
            f"a drafter's YAML: {name}",
            _with_mine(),
            says,
            both(write("own/drafter/mine.yaml", text), write("broken_plugin.py", "1 / 0")),
        )
        for name, (text, says) in _DRAFTERS.items()
    ]
    found += [
        Case(
            "config-dir",
            name,
            _with_mine(group),
            says,
            write(f"own/{group}/mine.yaml", text),
        )
        for name, (group, text, says) in _OTHERS.items()
    ]
    found += [
        Case(
            "config-dir",
            f"a list of sweeps {name}",
            ("sweep", "+experiment=mine", "--config-dir", "own"),
            says,
            write("own/experiment/mine.yaml", text.encode("utf-8", "surrogateescape")),
        )
        for name, (text, says) in _LISTS.items()
    ]
    return [
        *found,
        Case(
            "config-dir",
            "a folder in the place of a YAML file",
            _with_mine(),
            "mine",
            folder("own/drafter/mine.yaml"),
        ),
        Case(
            "config-dir",
            "an option's file that is not UTF-8, for list",
            ("list", "--config-dir", "own"),
            "mine.yaml",
            write("own/drafter/mine.yaml", b"# \xff\xfe\n_target_: a.B"),
        ),
        Case(
            "config-dir",
            "an option's file that is a folder, for list",
            ("list", "--config-dir", "own"),
            "mine.yaml",
            folder("own/drafter/mine.yaml"),
        ),
    ]


def _with_mine(group: str = "drafter") -> tuple[str, ...]:
    """The tiny sweep with an option of one's own in the place of ours."""
    kept = [o for o in overridden("sweep", f"{group}=mine") if not o.startswith(f"{group}.")]
    return (*kept, "--config-dir", "own")
