"""postfix check: silent when all is well, warnings end with 0, errors with 1, and missing folders are made."""
import os, shutil

import pytest

import harness


def check(m):
    """Exit status, and what it said without the names of programs."""
    r = m.cmd("postfix", "check", check=False)
    return r.returncode, [l.split(": ", 1)[1] for l in r.stderr.splitlines()]


@pytest.fixture
def quiet(instance):
    """A configuration of which nothing is said."""
    m = instance()
    code, said = check(m)
    assert code == 0, said
    m.known = said
    return m


def news(m):
    code, said = check(m)
    return code, [l for l in said if l not in m.known]


def append(m, text, file="main_cf"):
    path = getattr(m, file)
    path.write_text(path.read_text() + text.format(dir=m.dir))


@pytest.mark.parametrize("main,code,words", [
    ("mydestinatoin = x\n", 0, "did you mean mydestination?"),
    ("biff = maybe\n", 1, "fatal: {dir}/etc/main.cf: line"),
    ("transport_maps = hash:{dir}/nowhere\n", 1, "transport_maps: hash:{dir}/nowhere: open database {dir}/nowhere.db: No such file or directory"),
    ("transport_maps = proxy:nosuch:table\n", 1, "transport_maps: nosuch:table: unsupported dictionary type: nosuch"),
    ("mynetworks = 127.0.0.0/8, [::1]/128, hsah:/etc/networks\n", 1, "mynetworks: hsah:/etc/networks: unsupported dictionary type: hsah"),
    ("smtpd_client_restrictions = check_client_access texthash:{dir}/nowhere\n", 1, "smtpd_client_restrictions: texthash:{dir}/nowhere: "),
    ("virtual_alias_maps = mysql:{dir}/nowhere.cf\n", 1, "virtual_alias_maps: mysql:{dir}/nowhere.cf: open {dir}/nowhere.cf: No such file or directory"),
    ("myorigin = a.example\nmyorigin = b.example\n", 0, "overriding earlier entry: myorigin=a.example"),
    ("queue_directory = {dir}/nowhere\n", 1, "fatal: no Postfix queue directory {dir}/nowhere!"),
])
def test_main_cf(quiet, main, code, words):
    append(quiet, main)
    got, said = news(quiet)
    assert any(words.format(dir=quiet.dir) in l for l in said), said
    assert got == code, said


def test_master_cf(quiet):
    append(quiet, "twice unix - - n - - smtp\ntwice unix - - n - 3 smtp\nnew unix - - n - - no-such-program\n", "master_cf")
    code, said = news(quiet)
    assert code == 0
    assert any('duplicate master.cf entry for service "twice" (unix) -- using the last entry' in l for l in said), said
    assert any('the program "no-such-program" is not available here' in l for l in said), said


def test_missing_folders_are_made(quiet):
    for name in ("maildrop", "public", "journal"):
        shutil.rmtree(quiet.dir / "spool" / name)
    assert news(quiet) == (0, [])
    assert (quiet.dir / "spool/maildrop").stat().st_mode & 0o7777 == 0o1730
    assert (quiet.dir / "spool/public").stat().st_mode & 0o7777 == 0o2710
    assert (quiet.dir / "spool/journal").stat().st_mode & 0o7777 == 0o700


def test_permissions(quiet):
    os.chmod(quiet.main_cf, 0o666)
    os.chmod(quiet.dir / "spool/private", 0o777)
    code, said = news(quiet)
    assert code == 0
    assert f"warning: group or other writable: {quiet.main_cf}" in said
    assert f"warning: group or other writable: {quiet.dir}/spool/private" in said


def test_an_index_that_is_older_than_its_source(quiet):
    table = quiet.dir / "transport"
    table.write_text("example.com smtp:[127.0.0.1]\n")
    quiet.cmd("postmap", f"hash:{table}")
    append(quiet, "transport_maps = hash:{dir}/transport\n")
    assert news(quiet)[0] == 0
    os.utime(f"{table}.db", (1e9, 1e9))
    code, said = news(quiet)
    assert code == 0
    assert [l for l in said if "is older than" in l] == [f"warning: database {table}.db is older than source file {table}"]
    os.utime(table, (1.1e9, 1.1e9))
    assert len([l for l in news(quiet)[1] if "is older than" in l]) == 1


def test_the_error_says_neither_where_the_table_is_named_nor_what_to_do(quiet):
    table = quiet.dir / "transport"
    table.write_text("example.com smtp:[127.0.0.1]\n")
    append(quiet, "folder = {dir}\ntransport_maps = hash:$folder/transport\n")
    line = quiet.main_cf.read_text().splitlines().index("transport_maps = hash:$folder/transport") + 1
    code, said = news(quiet)
    assert code == 1
    assert said == [f"error: {quiet.main_cf}: line {line}: transport_maps: hash:{table}: open database {table}.db: "
                    f"No such file or directory; run: postmap hash:{table}"]
    quiet.cmd("postmap", f"hash:{table}")
    assert news(quiet) == (0, [])


def test_a_table_of_one_service_is_said_to_be_of_no_line(quiet):
    append(quiet, "late unix - - n - - smtp\n  -o smtp_generic_maps=cidr:{dir}/nowhere\n", "master_cf")
    code, said = news(quiet)
    assert code == 1
    assert any(f"-o smtp_generic_maps: cidr:{quiet.dir}/nowhere: " in l and f"{quiet.master_cf}: line " in l
               for l in said), said


@pytest.mark.parametrize("setting,words", [
    ("mail_owner = root\n", "parameter mail_owner: user root has privileged user ID: 0"),
    ("mail_owner = nosuchuser\n", "parameter mail_owner: unknown user name value: nosuchuser"),
    ("setgid_group = root\n", "parameter setgid_group: group root has privileged group ID: 0"),
    ("setgid_group = postfix\n", "parameters setgid_group and mail_owner specify the same group ID"),
])
def test_users(quiet, setting, words):
    if not harness.IS_ROOT:
        pytest.skip("an ordinary user changes to nobody")
    append(quiet, setting)
    code, said = news(quiet)
    assert code == 1
    assert any(words in l for l in said), said


def test_a_restriction_refuses_everybody_and_nobody_was_told(quiet):
    append(quiet, "smtpd_sender_restrictions = permit_mynetworks, ours, warn_if_reject reject_unknown_sender_domain, permit_mynetwork\n"
                  "smtpd_helo_restrictions = permit, reject_all\n"
                  "smtpd_restriction_classes = ours\nours = reject_unauth_pipelining\n")
    append(quiet, "late inet n - n - - smtpd\n  -o smtpd_client_restrictions=reject_rbl,bl.test,reject_every\n", "master_cf")
    said = "\n".join(news(quiet)[1])
    assert "smtpd_sender_restrictions: unknown smtpd restriction: permit_mynetwork; who reaches it gets 451 4.3.5; did you mean permit_mynetworks?" in said
    assert "-o smtpd_client_restrictions: unknown smtpd restriction: reject_every; who" in said
    assert said.count("unknown smtpd restriction") == 2, said  # what stands behind "permit" is never reached


def test_a_restriction_class_refuses_everybody_and_nobody_was_told(quiet):
    append(quiet, "smtpd_restriction_classes = ours\nours = permit_mynetworks,\n reject_unauth_destnation, reject\n")
    said = "\n".join(news(quiet)[1])
    assert ": ours: unknown smtpd restriction: reject_unauth_destnation; who reaches it gets 451 4.3.5; did you mean reject_unauth_destination?" in said
