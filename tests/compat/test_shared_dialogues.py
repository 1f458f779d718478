"""The dialogues recorded from Postfix that are kept beside this tree (../shared/oracle).

waiting.json names those that wait for something that is not built, and for what. Of mail that waits for a delivery program (local(8), …)
what the client saw is compared; of what waits for TLS or SASL, nothing. Everything of all others is, deliveries and log lines too."""
import difflib, json, os, pathlib, re, subprocess, sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "system"))
import harness

ORACLE = harness.ROOT.parent / "shared/oracle"
CASES = sorted(p.stem for p in (ORACLE / "dialogues").glob("*.smtp"))
WAITING = json.loads((HERE / "waiting.json").read_text())
DELIVERY = ("local(8)", "lmtp", "pipe(8)", "delivery reports")  # the session itself is compared
# Lines of the log that are not compared: of programs that are not built, of parts that we have not, and which of several programs finds a full disk.
UNCOMPARED = re.compile(r"^master: warning: |^trivial-rewrite: |^cleanup: @QID@: (resent-)?message-id=|^qmgr: warning: connect to transport|"
                        r"warning: mail_stream_cleanup|warning: .*queue file size limit exceeded|warning: not enough free space in mail queue|"
                        r"smtpd: warning: postmaster notify: 4\.3\.1 ")


def comparable(outcome):
    outcome = {k: v for k, v in outcome.items() if k != "title"}
    lines = [l for l in outcome["log"] if not UNCOMPARED.search(l)]
    # How often a program that cannot start is started again is the clock's affair.
    outcome["log"] = [l for i, l in enumerate(lines) if ": fatal: " not in l or l not in lines[:i]]
    # Programs name themselves as they were called.
    return json.loads(json.dumps(outcome).replace("@BIN@/", "").replace(f"{harness.BIN}/", ""))


@pytest.fixture(scope="module")
def outcomes():
    """Of each case: what happened, or the trouble in a text."""
    if not CASES:
        pytest.skip("no ../shared/oracle: nothing to compare with")
    if not harness.INSIDE:
        pytest.skip("needs namespaces of its own: run as root")
    r = subprocess.run([sys.executable, str(ORACLE / "run-dialogues.py"), "--start-cmd", f"{sys.executable} {HERE / 'control.py'}", "--show", "-v"], capture_output=True,
                       text=True, errors="replace", env=dict(os.environ, HIKYAKU_BIN=str(harness.BIN), DLG_TIMEOUT=str(harness.PATIENCE)))
    found, at, text = {}, 0, r.stdout
    decoder, shown = json.JSONDecoder(), None
    while at < len(text):
        if text.startswith("{\n", at):
            shown, at = decoder.raw_decode(text, at)
        else:
            end = text.find("\n", at) % (len(text) + 1)
            head = re.match(r"(?:ok|FAIL) +([a-z]\d\d-[\w-]+)(:.*)?", text[at:end])
            if head:
                found[head[1]] = head[2] or shown
                shown = None
            at = end + 1
    assert set(found) == set(CASES), text[-2000:] + r.stderr[-2000:]
    return found


def difference(outcomes, name, parts=None):
    got = outcomes[name]
    if not isinstance(got, dict):
        return [got]
    want = json.loads((ORACLE / "dialogues" / f"{name}.expected").read_text())
    texts = [json.dumps({k: v for k, v in comparable(o).items() if not parts or k in parts}, indent=1, sort_keys=True).split("\n") for o in (want, got)]
    return list(difflib.unified_diff(*texts, "Postfix", "ours", lineterm="", n=2))


@pytest.mark.parametrize("name", [n for n in CASES if n not in WAITING])
def test_as_postfix(outcomes, name):
    diff = difference(outcomes, name)
    assert not diff, "\n".join(diff)


@pytest.mark.parametrize("name", [n for n in CASES if WAITING.get(n) in DELIVERY])
def test_session_as_postfix(outcomes, name):
    diff = difference(outcomes, name, ("dialog",))
    assert not diff, "\n".join(diff)


def test_nothing_waits_in_vain(outcomes):
    """What passes is not on the list; what is on the list exists and says what it waits for."""
    assert not set(WAITING) - set(CASES)
    assert not [n for n in WAITING if not difference(outcomes, n)]
    assert all(WAITING.values())
