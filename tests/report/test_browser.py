"""The report in a real browser, where there is one: no complaint, and no request at all.

`test_page.py` looks at the document itself and runs everywhere.
"""

import json
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from dspark_bench.report.html import NOTHING_FETCHED
from dspark_bench.report.page import write_report
from tests.report.folders import cells, write_sweep

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_BROWSER = next((path for name in _NAMES if (path := shutil.which(name))), None)
_FLAGS = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--virtual-time-budget=3000", "--enable-logging=stderr", "--v=0", "--dump-dom"),
    "--host-resolver-rules=MAP * ~NOTFOUND",  # what the browser asks for on its own goes nowhere
)
_OF_THE_BROWSER = "not an origin"
"""The initiator of requests that no page made."""
_IMAGE = '<img src="http://other.test/x.png" alt="">'
_POLICY = f'<meta http-equiv="Content-Security-Policy" content="{NOTHING_FETCHED}">'

pytestmark = pytest.mark.skipif(_BROWSER is None, reason="no Chromium on this machine")


@dataclass(frozen=True, slots=True)
class _Opened:
    """dom: after scripts ran; complaints: lines of the console; requests: URLs the page asked for,
    whether or not an answer came.
    """

    dom: str
    complaints: list[str]
    requests: list[str]


def _open(page: Path, folder: Path) -> _Opened:
    """The page in a new profile below `folder`."""
    assert _BROWSER is not None
    log = folder / "net.json"
    own = [f"--user-data-dir={folder / 'profile'}", f"--log-net-log={log}"]
    done = subprocess.run(
        [_BROWSER, *_FLAGS, *own, page.as_uri()],
        capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    complaints = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return _Opened(done.stdout, complaints, _page_requests(log))


def _page_requests(log: Path) -> list[str]:
    content = json.loads(log.read_text(encoding="utf-8"))
    start = content["constants"]["logEventTypes"]["URL_REQUEST_START_JOB"]
    found = [event.get("params", {}) for event in content["events"] if event["type"] == start]
    begun = [params for params in found if "url" in params]  # ends of requests have none
    own = [params for params in begun if params.get("initiator") != _OF_THE_BROWSER]
    return [params["url"] for params in own if not params["url"].startswith(("file:", "data:"))]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report") / "s"
    rows = [cells("a"), cells("b", gamma=7, speedup=2.5, speedup_ci_low=2.4, speedup_ci_high=2.6)]
    return write_report(write_sweep(folder, rows))[0]


def test_it_opens_without_a_complaint_or_a_request(report: Path, tmp_path: Path) -> None:
    opened = _open(report, tmp_path)
    assert "is fastest here" in opened.dom and "<img src=" in opened.dom
    assert opened.complaints == []
    assert opened.requests == []


def test_its_own_policy_forbids_what_might_slip_in(report: Path, tmp_path: Path) -> None:
    opened = _open(_with(report, tmp_path, _IMAGE, has_policy=True), tmp_path)
    assert opened.complaints and opened.requests == []


def test_a_foreign_request_would_be_seen(report: Path, tmp_path: Path) -> None:
    opened = _open(_with(report, tmp_path, _IMAGE, has_policy=False), tmp_path)
    assert opened.requests == ["http://other.test/x.png"]


def test_a_console_error_would_be_seen(report: Path, tmp_path: Path) -> None:
    script = "<script>console.error('broken')</script>"
    opened = _open(_with(report, tmp_path, script, has_policy=False), tmp_path)
    assert any("broken" in line for line in opened.complaints)


def _with(report: Path, folder: Path, added: str, has_policy: bool) -> Path:
    """A copy of the page in `folder` with something added, with or without its policy."""
    text = report.read_text(encoding="utf-8")
    assert _POLICY in text
    text = text if has_policy else text.replace(_POLICY, "")
    changed = folder / "changed.html"
    changed.write_text(text.replace("</body>", f"{added}</body>"), encoding="utf-8")
    return changed
