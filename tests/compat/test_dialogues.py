"""Clients' dialogues beside what Postfix did: replies, delivered messages, policy requests, log lines. See dialogues/README.md."""
import json, pathlib, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent / "dialogues"))
import play
from play import harness

GROUPS = {g.name: g for g in play.groups()}
ALL = [(g, c.name) for g, group in GROUPS.items() for c in group.cases]


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


def test_what_is_recorded_has_a_case():
    for f in play.RECORDED.glob("*.json"):
        assert f.stem in GROUPS, f
        assert list(json.loads(f.read_text())) == [c.name for c in GROUPS[f.stem].cases], f
