"""The manual pages: all are made, format without a warning, and name the options that the commands take."""
import json, os, re, shutil, subprocess

import pytest

from harness import BIN, ROOT

SOURCES = ROOT / "docs" / "man"
BUILT = BIN.parent / "docs" / "man"
PAGES = sorted(p.name.removesuffix(".page") for p in SOURCES.glob("*.page"))
COMMANDS = sorted(p.split(".")[0] for p in PAGES if p.endswith(".1"))
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789#"


def test_every_page_is_made():
    made = {p.name for p in BUILT.glob("*.[1-9]")}
    assert not [p for p in PAGES if p not in made], "in docs/man, but not in its meson.build"


def test_every_page_is_installed():
    meson = shutil.which("meson")
    if meson is None:
        pytest.skip("meson is not here")
    r = subprocess.run([meson, "introspect", "--installed", BUILT.parent.parent], capture_output=True, text=True, check=True)
    where = json.loads(r.stdout)
    for page in PAGES:
        assert where.get(str(BUILT / page), "").endswith(f"/man/man{page[-1]}/{page}")


def test_every_command_has_a_page():
    commands = {p.name for p in BIN.iterdir() if p.is_file() and os.access(p, os.X_OK) and "." not in p.name}
    assert commands <= set(COMMANDS)


def test_every_program_that_master_cf_may_name_has_a_page():
    roles = re.findall(r'^\t\{ "([\w-]+)", "\w*" \},$', (ROOT / "src/agent/services.c").read_text(), re.M)
    assert "smtpd" in roles and "cleanup" in roles
    pages = {p.removesuffix(".8") for p in PAGES if p.endswith(".8")}
    assert set(roles) - pages == {"rewrite"}  # which is trivial-rewrite, by another name


def test_every_table_type_has_a_page():
    out = subprocess.run([BIN / "postconf", "-m"], capture_output=True, text=True, check=True).stdout
    # nis is only named: its page would describe the library's configuration.
    assert not [t for t in out.split() if t != "nis" and f"{t}_table.5" not in PAGES]


@pytest.mark.parametrize("page", PAGES)
def test_formats_without_a_warning(page):
    tools = {"groff": ["groff", "-ww", "-man", "-Tutf8"], "man": ["man", "-l", "--warnings"], "mandoc": ["mandoc", "-Tlint", "-Wwarning"]}
    found = {name: cmd for name, cmd in tools.items() if shutil.which(name)}
    if not found:
        pytest.skip("neither groff nor man nor mandoc is here")
    for name, cmd in found.items():
        r = subprocess.run([*cmd, BUILT / page], capture_output=True, text=True, env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8"})
        assert r.stderr == "", name
        assert r.returncode == 0, f"{name}: {r.stdout[-500:]}"
        if name == "groff":
            assert len(r.stdout) > 300
# Its options stand behind a word.
VERB = {"hikyaku": ["explain"]}
# In Postfix's list of letters, and answered with the usage all the same.
REFUSED = {"postconf": {"E"}}


PARAMS = """\
param   a_b
type    time s
default $c
range   1s .. 9s
scope   smtpd
status  works
since   2.0
short   One.
doc     Two - three.

param   c
type    bool
default no
scope   none
status  not-yet TLS
short   Four.
"""

TABLE = """\
#define MAP_SETTING_DOMAIN \\
\t{ \\
\t\t"domain", MAP_SETTING_TEXT, NULL, 0, 0, "Which " \\
\t\t"domains." \\
\t}
static const struct map_setting settings[] = {
\t{ "n", MAP_SETTING_NUMBER, "7", 0, 0, "A \\"number\\", {or} two." }, /* { */
\tMAP_SETTING_DOMAIN,
};
"""

NOTATION = [
    ("text of `-x`, *y* and z(5)\n.dot", ["text of \\fB\\-x\\fR, \\fIy\\fR and \\fBz\\fR(5)", "\\&.dot"]),
    ("# ONE\n## Two\nx", [".SH ONE", ".SS Two", "x"]),
    (": `a`\n  b\n\n  c\nd", [".TP", "\\fBa\\fR", "b", ".IP", "c", ".PP", "d"]),
    ("* a\n* b", [".IP \\(bu 2", "a", ".IP \\(bu 2", "b"]),
    ("a\n\n    x  y\n    .z \\\n\nb", ["a", ".PP", ".RS 4", ".EX", "x  y", "\\&.z \\e", ".EE", ".RE", ".PP", "b"]),
    ("@parameters a_b c", [".TP", "\\fBa_b\\fR (default: $c)", "One.", ".TP", "\\fBc\\fR (default: no)", "Four.",
                         "Not yet: setting it does nothing but a warning; it waits for TLS."]),
    ("@scope smtpd", [".TP", "\\fBa_b\\fR (default: $c)", "One."]),
    ("@attributes t", [".TP", "\\fBn\\fR (default: 7)", 'A "number", {or} two.', ".TP", "\\fBdomain\\fR (default: empty)", "Which domains."]),
    ("@type nosuch\na", ["a"]),
    ("@type module", [".PP", "Not yet: this release has no \\fBmodule:\\fR. Look\\-ups in such a table fail for", "the moment: mail waits."]),
    ("@group p Group", [".SH GROUP", ".TP", "\\fBa_b\\fR (default: $c)", "One.", "Two \\- three.", ".br",
                       "Time, in s when no unit is given (s, m, h, d, w), 1 to 9 s. Since 2.0. Read by\nsmtpd. Counts with \"postfix reload\".",
                       ".br", "Works.", ".TP", "\\fBc\\fR (default: no)", "Four.", ".br", "Yes or no. Since 1.0.", ".br",
                       "Not yet: setting it does nothing but a warning; it waits for TLS."]),
]
DATE = "param   mail_release_date\ntype    string\ndefault 20200102\nscope   none\nstatus  accepted X\nshort   D.\n"


def generate(folder, text):
    (folder / "p.params").write_text(PARAMS)
    (folder / "q.params").write_text(DATE)
    (folder / "t.c").write_text(TABLE)
    (folder / "types.c").write_text("MODULE(module)\n\t&map_type_nosuch,\n\t&map_type_module,\n")
    (folder / "x.1.page").write_text(text)
    return subprocess.run([ROOT / "tools/gen-man", folder / "x.1", folder / "x.1.page", folder / "p.params", folder / "q.params", folder / "t.c", folder / "types.c"],
                          capture_output=True, text=True)


@pytest.mark.parametrize("text,want", NOTATION)
def test_notation(tmp_path, text, want):
    extra = "\n@group q Rest" if "@group" in text else ""
    r = generate(tmp_path, f"x - what `it` is\n{text}{extra}\n")
    assert r.returncode == 0, r.stderr
    page = (tmp_path / "x.1").read_text()
    head, _, body = page.partition("x \\- what \\fBit\\fR is\n")
    assert '.TH X 1 2020-01-02 hikyaku' in head
    assert body.split("\n.SH REST")[0].rstrip("\n") == "\n".join(want)


@pytest.mark.parametrize("text,why", [
    ("y - z\n", "x.1.page:1: the first line"),
    ("x - z\n@parameters nosuch\n", "no parameter nosuch"),
    ("x - z\n@scope nosuch\n", "nothing is read by nosuch"),
    ("x - z\n@nosuch\n", "unknown @nosuch"),
    ("x - z\n@attributes nosuch\n", "no attributes of nosuch"),
    ("x - z\n@group p P\n", "@group misses q"),
])
def test_mistakes_in_a_page_are_said(tmp_path, text, why):
    r = generate(tmp_path, text)
    assert r.returncode == 1 and why in r.stderr


def documented(command):
    """The letters of the page's list entries."""
    text = (SOURCES / f"{command}.1.page").read_text()
    for name in re.findall(r"^@same (\S+)", text, re.M):
        text += (SOURCES / name).read_text()
    terms = "\n".join(line for line in text.splitlines() if line.startswith(": "))
    return set(re.findall(r"`-([A-Za-z0-9#])", terms))


def takes(command, letter, env):
    """Whether getopt knows the letter; the unknown one behind it keeps the command from doing anything."""
    r = subprocess.run([BIN / command, *VERB.get(command, []), f"-{letter}", "-?"], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL, timeout=120)
    return f"invalid option -- '{letter}'" not in r.stderr


@pytest.mark.parametrize("command", COMMANDS)
def test_options_are_those_of_the_command(command, tmp_path):
    if command in ("mailq", "newaliases"):
        pytest.skip("mailq and newaliases take those of sendmail")
    env = {**os.environ, "MAIL_CONFIG": str(tmp_path)}
    assert not takes(command, "9", env), "the test cannot tell known letters from unknown ones"
    refused = REFUSED.get(command, set())
    assert documented(command) == {c for c in LETTERS if takes(command, c, env)} - refused
    for letter in refused:
        r = subprocess.run([BIN / command, f"-{letter}"], capture_output=True, text=True, env=env, stdin=subprocess.DEVNULL)
        assert "usage: " in r.stderr and r.returncode == 1


def test_synopsis_names_options_of_the_page():
    for command in COMMANDS:
        text = (SOURCES / f"{command}.1.page").read_text()
        synopsis = text.split("# SYNOPSIS")[1].split("\n# ")[0]
        letters = set("".join(re.findall(r"(?<![\w<-])-([A-Za-z#]+)(?![\w>])", synopsis)))
        if command == "newaliases":
            continue
        assert letters <= documented(command), command
