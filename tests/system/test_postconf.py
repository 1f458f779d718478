"""postconf: what it prints, and that editing main.cf loses nothing. Compared with Postfix's own where that is at hand."""
import os, pathlib, subprocess

import pytest

from harness import BIN, ROOT

ORACLE = pathlib.Path(os.environ.get("POSTFIX_POSTCONF", ROOT.parent / "shared/oracle/run-postfix-oracle.sh"))

MAIN = """\
# top
compatibility_level = 3.6
myhostname=mail.example.test
mydestination = $myhostname,   localhost
\tfoo.example,
# inner

\tbar.example
relayhost = [$used]:25
used = y
unused = x
smtp_destination_concurrency_limit = 7
slow_destination_recipient_limit = 1
smtpd_restriction_classes = cls
cls = permit
mydestination = second
  third
# end
"""

MASTER = """\
smtp inet n - n - - smtpd
  -o smtpd_banner=$hello -o hello=hi
smtp unix - - n - - smtp
slow unix - - n - - smtp -o { syslog_name = a b }
qmgr unix n - n 300 1 qmgr
"""


@pytest.fixture
def conf(tmp_path):
    (tmp_path / "main.cf").write_text(MAIN)
    (tmp_path / "master.cf").write_text(MASTER)
    return tmp_path


def postconf(conf, *args):
    return subprocess.run([BIN / "postconf", "-c", conf, *args], capture_output=True, text=True)


@pytest.mark.parametrize("args,out", [
    (["relayhost"], "relayhost = [$used]:25\n"),
    (["-x", "relayhost"], "relayhost = [y]:25\n"),
    (["-h", "mydestination"], "second third\n"),
    (["-H", "mydestination"], "mydestination\n"),
    (["-d", "mydestination"], "mydestination = $myhostname, localhost.$mydomain, localhost\n"),
    (["-dx", "smtpd_timeout"], "smtpd_timeout = 300s\n"),
    (["-n", "mynetworks"], ""),
    (["-o", "used=z", "-x", "relayhost"], "relayhost = [z]:25\n"),
    (["cls"], "cls = permit\n"),
    (["slow_destination_concurrency_limit"],
     "slow_destination_concurrency_limit = $default_destination_concurrency_limit\n"),
    (["-M", "slow"], "slow       unix  -       -       n       -       -       smtp -o {syslog_name=a b}\n"),
    (["-F", "qmgr/unix/wakeup"], "qmgr/unix/wakeup = 300\n"),
    (["-P"], "smtp/inet/hello = hi\nsmtp/inet/smtpd_banner = $hello\nslow/unix/syslog_name = a b\n"),
    (["-Px", "smtp/inet/smtpd_banner"], "smtp/inet/smtpd_banner = hi\n"),
    (["-n", "-C", "user"], "cls = permit\nused = y\n"),
])
def test_prints(conf, args, out):
    r = postconf(conf, *args)
    assert r.returncode == 0, r.stderr
    assert r.stdout == out


def test_warnings(conf):
    r = postconf(conf, "-n")
    assert f"postconf: warning: {conf}/main.cf: unused parameter: unused=x\n" in r.stderr
    assert f"postconf: warning: {conf}/main.cf, line 16: overriding earlier entry: mydestination=" in r.stderr
    assert "unused" not in r.stdout
    assert postconf(conf, "nosuch").stderr.splitlines()[1] == "postconf: warning: nosuch: unknown parameter"


@pytest.mark.parametrize("args,complaint", [
    (["-n", "-d"], "specify one of -d -n"),
    (["-M", "-n"], "with option -M, do not specify -n"),
    (["-e"], "-e requires name=value argument"),
    (["-e", "foo"], "missing '=' after attribute name: \"foo\""),
    (["a=b\nc"], "-e, -X, or -# accepts no multi-line input"),
    (["-b", "one", "two"], "options -b and -t require at most one template file"),
    (["-T", "run-version"], "option -T: this version is built without TLS"),
])
def test_refuses(conf, args, complaint):
    r = postconf(conf, *args)
    assert r.returncode == 1
    assert r.stderr == f"postconf: fatal: {complaint}\n"
    assert (conf / "main.cf").read_text() == MAIN


def test_broken_files_are_named(conf):
    (conf / "main.cf").write_text("a = b\n\nno equal sign\n")
    r = postconf(conf, "-n")
    assert (r.returncode, r.stderr) == (
        1, f"postconf: fatal: {conf}/main.cf, line 3: missing '=' after attribute name: \"no equal sign\"\n")
    r = postconf(conf / "nowhere", "-n")
    assert r.stderr == f"postconf: fatal: open {conf}/nowhere/main.cf: No such file or directory\n"


EDITS = [
    ["-e", "relayhost = [other]"],
    ["relayhost=", "new = value  with   blanks"],
    ["mydestination=both become one setting each"],
    ["-X", "mydestination"],
    ["-#", "mydestination", "used"],
    ["-X", "nosuch"],
    ["-e", " used = 2 "],
]


@pytest.mark.parametrize("args", EDITS, ids=" ".join)
def test_edits_keep_everything_else(conf, args):
    os.chmod(conf / "main.cf", 0o640)
    r = postconf(conf, *args)
    assert r.returncode == 0, r.stderr
    text = (conf / "main.cf").read_text()
    for comment in ("# top\n", "# inner\n\n", "# end\n"):
        assert comment in text
    assert "compatibility_level = 3.6\n" in text
    assert (conf / "main.cf").stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in conf.iterdir()) == ["main.cf", "master.cf"]


@pytest.mark.skipif(not ORACLE.exists(), reason="no Postfix to compare with")
@pytest.mark.parametrize("args", [a for a in EDITS] + [
    ["-n"], ["-nx"], ["-nh"], ["-nH"], ["-M"], ["-Mf"], ["-F"], ["-Ff"], ["-P"], ["-C", "user"], ["-fn"], ["nosuch"],
    ["-n", "-d"], ["-hH", "x"], ["-F", "a/b/c/d"]], ids=" ".join)
def test_as_postfix_does(conf, tmp_path_factory, args):
    theirs = tmp_path_factory.mktemp("theirs")
    home = theirs / "etc"
    home.mkdir()
    for name in ("main.cf", "master.cf"):
        (home / name).write_text((conf / name).read_text())
    if subprocess.run([str(ORACLE), "cmd", str(theirs), "postconf", "-h", "mail_name"], capture_output=True).returncode:
        pytest.skip("no Postfix to compare with")
    want = subprocess.run([str(ORACLE), "cmd", str(theirs), "postconf", *args], capture_output=True, text=True)
    got = postconf(conf, *args)
    assert got.stdout == want.stdout.replace(str(home), str(conf))
    assert got.returncode == want.returncode
    assert (conf / "main.cf").read_text() == (home / "main.cf").read_text()
