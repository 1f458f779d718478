"""Clients' dialogues beside what Postfix did: replies, delivered messages, policy requests, log lines. See dialogues/README.md."""
import json, pathlib, re, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "dialogues"))
import play
from play import harness

GROUPS = {g.name: g for g in play.groups()}
ALL = [(g, c.name) for g, group in GROUPS.items() for c in group.cases]
ROOT = play.ROOT
# Actions of access(5), as a table or a policy service writes them; 4NN and 5NN by an example.
ACTIONS = ["OK", "RELAY", "DUNNO", "REJECT", "DEFER", "DEFER_IF_PERMIT", "DEFER_IF_REJECT", "HOLD", "DISCARD", "FILTER", "REDIRECT", "BCC",
           "PREPEND", "INFO", "WARN", "4NN", "5NN", "all digits", "restrictions"]
LEAST = 150


@pytest.fixture(scope="module")
def server(request, tmp_path_factory):
    """The server of one file of cases; the next file's takes its place."""
    if not harness.INSIDE:
        pytest.skip("needs namespaces of its own: run as root")
    s = play.Server(GROUPS[request.param], tmp_path_factory.mktemp("dialogue") / "s")
    try:
        s.start()
        yield s
    finally:
        s.stop()


@pytest.mark.parametrize("server,name", ALL, indirect=["server"], ids=[f"{g}-{n}".replace(" ", "_") for g, n in ALL])
def test_as_postfix(server, name):
    case = next(c for c in server.group.cases if c.name == name)
    diff = play.differences(play.expected(server.group, case), play.play(server, case))
    assert not diff, "\n".join(diff)


def text_of_cases():
    return "\n".join(p.read_text(errors="surrogateescape") for p in play.CASES.glob("*.case"))


def test_enough_cases():
    print(f"{len(ALL)} cases")
    assert len(ALL) >= LEAST


def test_every_restriction_has_a_case():
    table = "".join(p.read_text() for p in (ROOT / "src/access").glob("*.c"))
    names = set(re.findall(r'^\t\{ "([a-z_]+)", \w+,\s', table, re.M))
    assert len(names) > 70, sorted(names)
    text = text_of_cases()
    missing = sorted(n for n in names if not re.search(rf"\b{n}\b", text))
    assert not missing, missing


def test_every_action_has_a_case():
    text = text_of_cases()
    found = {"4NN": r"^\S+ 4[0-9][0-9] \D", "5NN": r"^\S+ 5[0-9][0-9] \D", "all digits": r"^\S+ [0-9]+$", "restrictions": r"^\S+ (permit|reject)_\w+"}
    missing = [a for a in ACTIONS if not re.search(found.get(a, rf"^\S+ {a}\b"), text, re.M)]
    assert not missing, missing


def test_what_is_recorded_has_a_case():
    for f in play.RECORDED.glob("*.json"):
        assert f.stem in GROUPS, f
        assert list(json.loads(f.read_text())) == [c.name for c in GROUPS[f.stem].cases], f
