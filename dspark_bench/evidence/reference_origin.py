"""Which machines and revisions the reference's points come from."""

import json
from pathlib import Path


def measured_on(*folders: Path) -> str:
    """One sentence on the points of all sweeps below `folders`: cores, threads, commits."""
    found = set()
    for folder in folders:
        for path in folder.glob("**/points/*/environment.json"):
            made = json.loads(path.read_text(encoding="utf-8"))
            machine = f"{made['num_cores']} cores of {made['cpu_model']}"
            threads = f"{made['torch_threads']} thread{'' if made['torch_threads'] == 1 else 's'}"
            revision = (made["git_revision"] or "unknown")[:7]
            changed = ", with changes" if made["is_dirty"] else ""
            found.add(f"{machine}, {threads}, commit {revision}{changed}")
    return f"Measured on {'; '.join(sorted(found))}." if found else ""
