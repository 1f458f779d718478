"""proxy: with the service running answers as Postfix's proxymap does (proxy_cases.json)."""
import json, os, pathlib, sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import proxy_cases
from harness import BIN, Instance


def test_as_postfix(tmp_path):
    expected = json.loads(proxy_cases.RECORDED.read_text())
    tables = tmp_path / "tables"
    tables.mkdir()
    proxy_cases.write_files(tables)
    # A brace would be a field of the harness's own.
    with Instance(tmp_path / "i", proxy_cases.settings(tables).replace("{", "{{").replace("}", "}}")) as mta:
        postmap = [str(BIN / "postmap"), "-c", str(mta.dir / "etc")]
        got = {t: {k: proxy_cases.ask(tables, postmap, t, k) for k in keys} for t, keys in proxy_cases.TABLES.items()}
    wrong = [(t, k, got[t][k], v) for t in expected for k, v in expected[t].items() if got[t][k] != v and not (t.startswith("unix:") and v[0] == 0 and got[t][k][0] == 0)]
    assert not wrong
    assert sum(map(len, got.values())) >= 20
