"""Every parameter of Postfix 3.12: its default and bounds, and whether setting it does what the manual says."""
import importlib.machinery, importlib.util, pathlib, re, subprocess

import pytest

from harness import BIN, ROOT

SPEC = ROOT.parent / "shared" / "spec"
needs_spec = pytest.mark.skipif(not SPEC.exists(), reason="no list of Postfix's parameters at hand")

# What depends on the host or on how Postfix was built, and why ours differs.
OUR_OWN = {
    "mail_version": "the release alone, without the day of a snapshot",
    "alias_maps": "Postfix built with NIS adds a NIS map",
}
# Bounds that are given by name in Postfix's source.
NAMED = {"MIN_DELAY_MAX_RES": 0, "MAX_DELAY_MAX_RES": 6, "MAX_SMTPD_CIPV4_PREFIX": 32, "MAX_SMTPD_CIPV6_PREFIX": 128,
         "DEF_SMTPD_SASL_RESP_LIMIT": 12288, "MAX_SMTP_TLS_SCACHETIME": 8640000, "MAX_LMTP_TLS_SCACHETIME": 8640000,
         "MAX_SMTPD_TLS_SCACHETIME": 8640000}
# Postfix wants it not empty where virtual(8) runs, and it is empty by default: virtual says so here, too.
CHECKED_WHERE_USED = {"virtual_mailbox_base"}
KINDS = {"time": {"time"}, "bool": {"bool"}, "nbool": {"bool"}, "int": {"int", "size"}, "nint": {"int", "size"},
         "long": {"int", "size"}, "raw": {"raw"}, "str": {"string", "list", "maps", "restrictions"}}
# Read by a name that is made while running: NAME_$suffix, and what those refer to.
BY_TEMPLATE = re.compile(r"^(default|local)?_(destination|delivery|transport|minimum_delivery|initial_destination)_")

MASTER = "slow unix - - n - - smtp\nscript unix - n n - - pipe\n"


def rows(name):
    for line in (SPEC / name).read_text().splitlines():
        if not line.startswith("#"):
            yield line.split("\t")


@pytest.fixture(scope="module")
def conf(tmp_path_factory):
    path = tmp_path_factory.mktemp("conf")
    (path / "main.cf").write_text("")
    (path / "master.cf").write_text(MASTER)
    return path


@pytest.fixture(scope="module")
def records():
    loader = importlib.machinery.SourceFileLoader("gen_params", str(ROOT / "tools" / "gen-params"))
    gen = importlib.util.module_from_spec(importlib.util.spec_from_loader("gen_params", loader))
    loader.exec_module(gen)
    params, templates = gen.read(sorted(str(p) for p in (ROOT / "src/conf/params").glob("*.params")))
    return params + templates


def printed(conf, *args):
    r = subprocess.run([BIN / "postconf", "-c", conf, *args], capture_output=True, text=True)
    assert r.returncode == 0, r.stderr
    return dict((line + " ").split(" = ", 1) if " = " in line else (line.split(" =")[0], "")
                for line in r.stdout.splitlines())


@needs_spec
def test_defaults_are_postfix_s(conf):
    ours = {k: v.strip() for k, v in printed(conf, "-d").items()}
    wrong, n, computed = [], 0, []
    for name, default, area, *_ in rows("parameters.tsv"):
        n += 1
        shown = name
        if name.startswith("transport_") and name not in ("transport_maps", "transport_retry_time"):
            shown = ("script" if name == "transport_time_limit" else "slow") + name[len("transport"):]
        elif name not in ours and re.match(r"(lmtp|relay|smtp|virtual)_destination_", name):
            shown = re.sub(r"^[a-z]+", "slow", name)  # a transport that this master.cf has not
        if area == "compat" and shown not in ours:
            value = printed(conf, "-d", name).get(name, "missing").strip()
        else:
            value = ours.get(shown, "missing")
        if default.startswith("<computed"):
            computed.append(name)
            if value == "missing":
                wrong.append((name, value))
        elif name not in OUR_OWN and value != default.strip():
            wrong.append((name, value, default))
    print(f"{n} names; computed: {' '.join(computed)}; our own: {' '.join(OUR_OWN)}")
    assert n > 900
    assert wrong == []


def bound(text):
    return NAMED[text] if text in NAMED else int(text)


@needs_spec
def test_bounds_are_postfix_s(records):
    ours = {r["name"]: r for r in records}
    wrong = []
    for name, kind, low, high in rows("parameters-bounds.tsv"):
        r = ours.get(name)
        if r is None or kind not in KINDS:
            continue
        if r["kind"] not in KINDS[kind]:
            wrong.append((name, r["kind"], kind))
        unit = 1000000 if kind == "time" else 1
        if low != "-" and kind != "raw" and name not in CHECKED_WHERE_USED and (
                (r["min"] or 0) != bound(low) * unit or (r["max"] or 0) != bound(high) * unit):
            wrong.append((name, r["min"], r["max"], low, high))
    assert wrong == []


def test_status_is_honest(records):
    """What works is read by somebody; nobody claims to read what he does not."""
    text = "\n".join(p.read_text(errors="replace") for d in ("src", "lib") for p in sorted((ROOT / d).rglob("*.[ch]"))
                     if not p.name.endswith("_test.c"))
    fields, strings = set(re.findall(r"(?:\.|->)(\w+)", text)), set(re.findall(r'"([^"\n]*)"', text))
    counts, unread = {}, []
    for r in records:
        counts[r["status"]] = counts.get(r["status"], 0) + 1
        field = ("x" if r["name"][0].isdigit() else "") + r["name"].lstrip("_") + {
            "time": "_us", "size": "_bytes"}.get(r["kind"], "")
        is_read = field in fields or r["name"].lstrip("_") in strings
        if r["status"] == "works" and not is_read and not BY_TEMPLATE.match(r["name"]):
            unread.append(r["name"])
    print(f"{len(records)} parameters:", ", ".join(f"{counts[k]} {k}" for k in ("works", "accepted", "not-yet")))
    # In expressions only: the operators of compatibility levels, and old names in defaults.
    assert set(unread) <= {"compatibility_level", "reject_tempfail_action", "default_cache_db_type"}, unread


@pytest.mark.parametrize("main,want", [
    ("smtpd_milters = inet:127.0.0.1:1\n", "main.cf: line 1: smtpd_milters = inet:127.0.0.1:1: not built yet: milters"),
    ("myhostnam = a.example\n", "main.cf: line 1: myhostnam = a.example: unknown parameter; did you mean myhostname?"),
    ("smtpd_milters =\nmine = x\nmydestination = $mine\n", None),
])
def test_check_says_what_does_nothing(conf, tmp_path, main, want):
    (tmp_path / "main.cf").write_text(main + f"maillog_file = {tmp_path}/log\nmaillog_file_prefixes = {tmp_path}\n"
                                      f"queue_directory = {tmp_path}\ndata_directory = {tmp_path}\n")
    (tmp_path / "master.cf").write_text(MASTER)
    r = subprocess.run([BIN / "postfix", "-c", tmp_path, "check"], capture_output=True, text=True)
    log = (tmp_path / "log").read_text() if (tmp_path / "log").exists() else ""
    said = [line for line in (r.stderr + log).splitlines() if "not built yet" in line or "unknown parameter" in line]
    if want is None:
        assert said == []
    else:
        assert any(f"warning: {tmp_path}/{want}" in line for line in said), r.stderr + log


def test_start_says_what_does_nothing(instance):
    m = instance("smtpd_milters = inet:127.0.0.1:1\nrelayohst = [a]",
                 "127.0.0.1:{port} inet n - n - - smtpd\n  -o smtpd_proxy_filter=127.0.0.1:1 -o smtpd_tls_req_ccert=yes -o smtpd_baner=x\n").start()
    m.wait_log(r"master\[\d+\]: warning: .*/main.cf: line \d+: smtpd_milters = inet:127.0.0.1:1: not built yet: milters")
    m.wait_log(r"warning: .*/main.cf: line \d+: relayohst = \[a\]: unknown parameter; did you mean relayhost\?")
    m.wait_log(r"warning: .*/master.cf: line \d+: 127.0.0.1:\d+/inet: -o smtpd_tls_req_ccert=yes: not built yet: TLS")
    m.wait_log(r"warning: .*/master.cf: line \d+: 127.0.0.1:\d+/inet: -o smtpd_baner=x: unknown parameter; did you mean smtpd_banner\?")
    assert "smtpd_proxy_filter" not in m.log()  # what is there is not warned of
