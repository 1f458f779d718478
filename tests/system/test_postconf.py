"""postconf: what it prints, and that editing main.cf loses nothing. Compared with Postfix's own where that is at hand."""
import concurrent.futures, json, os, pathlib, resource, signal, subprocess

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
    return subprocess.run(["postconf", "-c", conf, *args], executable=BIN / "postconf", capture_output=True, text=True)


def test_warnings_begin_with_the_name_as_it_was_called(conf):
    for prog, args in (("postconf", ["nosuch"]), ("postcat", ["-q", "NOSUCH0"])):
        for name in (f"/x/{prog}", f"./{prog}", prog):
            said = subprocess.run([name, "-c", conf, *args], executable=BIN / prog, capture_output=True, text=True).stderr
            assert said.startswith(name + ": "), (name, said)


@pytest.mark.parametrize("prog", ["postqueue", "postsuper", "postdrop", "postcat"])
def test_each_letter_of_a_wrong_option_is_complained_of(conf, prog):
    said = subprocess.run([f"/x/{prog}", "-c", conf, "--help"], executable=BIN / prog, capture_output=True, text=True).stderr
    name = "/x/postcat" if prog == "postcat" else prog
    first, second = said.splitlines()
    assert first == f"{name}: invalid option -- '-'" and second.startswith(f"{name}: fatal: usage: {prog} ")


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
        os.utime(home / name, (1e9, 1e9))  # Postfix waits when a file is younger than two seconds
    if subprocess.run([str(ORACLE), "cmd", str(theirs), "postconf", "-h", "mail_name"], capture_output=True).returncode:
        pytest.skip("no Postfix to compare with")
    want = subprocess.run([str(ORACLE), "cmd", str(theirs), "postconf", *args], capture_output=True, text=True)
    got = postconf(conf, *args)
    assert got.stdout == want.stdout.replace(str(home), str(conf))
    assert got.returncode == want.returncode
    assert (conf / "main.cf").read_text() == (home / "main.cf").read_text()


@pytest.mark.parametrize("args,file,before,after", [
    (["-M#", "slow/unix"], "master.cf", "slow unix", "#slow unix"),
    (["-MX", "qmgr/unix"], "master.cf", "qmgr unix n - n 300 1 qmgr\n", ""),
    (["-M", "slow/unix=slow unix - - n - 2 lmtp"], "master.cf", "slow unix - - n - - smtp -o { syslog_name = a b }\n",
     "slow       unix  -       -       n       -       2       lmtp\n"),
    (["-F", "qmgr/unix/wakeup=60"], "master.cf", "qmgr unix n - n 300 1 qmgr\n", "qmgr       unix  n       -       n       60      1       qmgr\n"),
    (["-P", "slow/unix/x=y"], "master.cf", "slow unix - - n - - smtp -o { syslog_name = a b }\n",
     "slow       unix  -       -       n       -       -       smtp\n    -o {syslog_name=a b}\n    -o x=y\n"),
])
def test_master_edits_change_one_entry(conf, args, file, before, after):
    r = postconf(conf, *args)
    assert (r.returncode, r.stderr) == (0, "")
    assert (conf / file).read_text() == MASTER.replace(before, after)
    assert sorted(p.name for p in conf.iterdir()) == ["main.cf", "master.cf"]


def test_braces_survive_an_edit(conf):
    """Postfix forgets them at the first argument, and the command is another one."""
    (conf / "master.cf").write_text("a unix - n n - - pipe {one word} user=x argv=/bin/sh -c {cat >/dev/null} {}\n")
    for value in ("y", "n"):
        assert postconf(conf, "-F", f"a/unix/chroot={value}").returncode == 0
    assert postconf(conf, "-F", "-h", "a/unix/command").stdout == "pipe {one word} user=x argv=/bin/sh -c {cat >/dev/null} {}\n"


def test_json(conf):
    lines = [json.loads(l) for l in postconf(conf, "-j", "-n").stdout.splitlines()]
    assert {"name": "relayhost", "value": "[$used]:25"} in lines
    lines = [json.loads(l) for l in postconf(conf, "-jM").stdout.splitlines()]
    assert lines[2] == {"service": "slow", "type": "unix", "private": "-", "unprivileged": "-", "chroot": "n", "wakeup": "-",
                        "process_limit": "-", "command": "smtp -o {syslog_name=a b}"}
    (conf / "main.cf").write_text('mydestination = "a\\b\x01"\n')
    assert json.loads(postconf(conf, "-j", "mydestination").stdout) == {"name": "mydestination", "value": '"a\\b\x01"'}


def test_templates_of_a_file(conf):
    (conf / "t").write_text("failure_template = <<EOF\nSubject: no\n\n$myhostname after $maximal_queue_lifetime_hours hours\nEOF\n")
    assert postconf(conf, "-b", conf / "t").stdout.startswith("expanded_failure_text = <<EOF\nmail.example.test after 120 hours\nEOF\n\nexpanded_delay")
    assert "\nSubject: no\n" in postconf(conf, "-t", conf / "t").stdout
    (conf / "t").write_text("failure_template = <<EOF\n$nosuch\nEOF\n")
    r = postconf(conf, "-b", conf / "t")
    assert (r.returncode, r.stderr.splitlines()[-1]) == (1, f"postfix/bounce: fatal: {conf}/t: undefined $name in failure template: $nosuch")


def test_many_editors_lose_nothing(conf):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert all(r.returncode == 0 for r in pool.map(lambda i: postconf(conf, f"many{i}=x"), range(40)))
    text = (conf / "main.cf").read_text()
    assert all(f"\nmany{i} = x\n" in text for i in range(40))
    assert text.startswith(MAIN)


def test_a_full_disk_leaves_the_old_file(conf):
    def small():
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    r = subprocess.run([BIN / "postconf", "-c", conf, "x=y"], capture_output=True, text=True, preexec_fn=small)
    assert r.returncode == 1
    assert "main.cf.tmp" in r.stderr
    assert (conf / "main.cf").read_text() == MAIN
    assert sorted(p.name for p in conf.iterdir()) == ["main.cf", "master.cf"]


def test_a_link_becomes_a_file(conf, tmp_path_factory):
    real = tmp_path_factory.mktemp("real") / "main.cf"
    (conf / "main.cf").rename(real)
    (conf / "main.cf").symlink_to(real)
    assert postconf(conf, "x=y").returncode == 0
    assert not (conf / "main.cf").is_symlink() and (conf / "main.cf").read_text() == MAIN + "x = y\n"
    assert real.read_text() == MAIN


def test_m_lists_a_table_type_whose_module_is_not_there(tmp_path):
    there = {p.name[4:-3] for p in (BIN.parent / "lib/hikyaku").glob("map_*.so")}
    listed = set(subprocess.run([BIN / "postconf", "-m"], capture_output=True, text=True, check=True).stdout.split())
    assert {"hash", "texthash", "regexp", "cidr"} <= listed
    assert {t for t in ("ldap", "mysql", "pgsql", "sqlite") if t in listed} == there & {"ldap", "mysql", "pgsql", "sqlite"}
