"""ldap: tables, keys, and the directory they are asked in. What Postfix answered is in ldap_cases.json.

  python3 tests/system/ldap_cases.py      records it anew, from an unpacked Postfix (POSTFIX_ROOT)"""
import json, os, pathlib, subprocess, sys, tempfile

from harness import write_settled

RECORDED = pathlib.Path(__file__).with_suffix(".json")
ORACLE = pathlib.Path(os.environ.get("POSTFIX_ROOT", "/var/tmp/peers/postfix"))

SCHEMA = r"""
attributetype ( 1.3.6.1.4.1.4203.666.1.901 NAME 'mailacceptinggeneralid' EQUALITY caseIgnoreIA5Match SUBSTR caseIgnoreIA5SubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.26{1024} )
attributetype ( 1.3.6.1.4.1.4203.666.1.902 NAME 'maildrop' EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26{1024} )
attributetype ( 1.3.6.1.4.1.4203.666.1.903 NAME 'memberdn' SUP distinguishedName )
attributetype ( 1.3.6.1.4.1.4203.666.1.904 NAME 'note' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch SYNTAX 1.3.6.1.4.1.1466.115.121.1.15 )
attributetype ( 1.3.6.1.4.1.4203.666.1.905 NAME 'blob' SYNTAX 1.3.6.1.4.1.1466.115.121.1.40 )
objectclass ( 1.3.6.1.4.1.4203.666.1.950 NAME 'mailEntry' AUXILIARY MAY ( mailacceptinggeneralid $ maildrop $ mail $ memberdn $ labeledURI $ note $ blob ) )
"""

SLAPD_CONF = """\
include {schema}/core.schema
include {schema}/cosine.schema
include {schema}/inetorgperson.schema
include {dir}/mail.schema
modulepath {modules}
moduleload back_mdb
pidfile {dir}/slapd.pid
allow bind_v2
{tls}
database mdb
maxsize 16777216
suffix dc=example,dc=test
rootdn cn=admin,dc=example,dc=test
rootpw geheim
directory {dir}/data
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree="ou=secret,dc=example,dc=test" by dn.exact="uid=reader,ou=people,dc=example,dc=test" read by * none
access to * by * read
"""

B = "dc=example,dc=test"


def entry(dn, kind, **values):
    lines = [f"dn: {dn}", *(f"objectClass: {k}" for k in kind.split()), "objectClass: mailEntry"]
    for name, v in values.items():
        lines += [f"{name}{': ' if not x.startswith(':') else ''}{x}" for x in ([v] if isinstance(v, str) else v)]
    return "\n".join(lines) + "\n\n"


def person(uid, **values):
    return entry(f"uid={uid},ou=people,{B}", "inetOrgPerson", uid=uid, cn=uid, sn=uid, **values)


def group(cn, **values):
    return entry(f"cn={cn},ou=groups,{B}", "organizationalRole", cn=cn, **values)


def member(*names):
    return [f"uid={n},ou=people,{B}" for n in names]


LDIF = (
    f"dn: {B}\nobjectClass: domain\ndc: example\n\n"
    + "".join(f"dn: ou={ou},{B}\nobjectClass: organizationalUnit\nou: {ou}\n\n" for ou in ("people", "groups", "secret", "a.test", "big"))
    + person("anna", mail="anna@a.test", maildrop="anna@host1.test", mailacceptinggeneralid=["anna@a.test", "anna"], note="Größe")
    + person("bert", mail=["bert@a.test", "bert2@a.test"], maildrop=["bert@host1.test", "bert@host2.test"], mailacceptinggeneralid=["bert@a.test", "team@a.test"])
    + person("carl", mail="carl@b.test", maildrop="carl", mailacceptinggeneralid=["carl@b.test", "team@a.test"])
    + person("dora", mail="dora@a.test", mailacceptinggeneralid="dora@a.test", description="no maildrop")
    + person("emil", mail="emil@a.test", maildrop="@host1.test", mailacceptinggeneralid="emil@a.test")
    + person("blob", mail="blob@a.test", mailacceptinggeneralid="blob@a.test", blob=":: YWIAY2Q=")
    + person("latin", mail="latin@a.test", mailacceptinggeneralid="latin@a.test", blob=":: /2E=")
    + person("reader", userPassword="lesen")
    + person("star*(x)\\\\", mail="star*(x)\\@a.test", maildrop="star@host1.test", mailacceptinggeneralid="star*(x)\\@a.test")
    + entry(f"uid=comma\\, plus\\+,ou=people,{B}", "inetOrgPerson", uid="comma, plus+", cn="c", sn="c", mail="comma@a.test")
    + entry(f"uid=hidden,ou=secret,{B}", "inetOrgPerson", uid="hidden", cn="h", sn="h", mail="hidden@a.test", mailacceptinggeneralid="hidden@a.test", maildrop="hidden@host1.test")
    + entry(f"cn=inside,ou=a.test,{B}", "organizationalRole", cn="inside", mail="inside@a.test", maildrop="inside@host1.test", mailacceptinggeneralid="inside@a.test")
    + "".join(entry(f"cn=n{i:02},ou=big,{B}", "organizationalRole", cn=f"n{i:02}", mail=f"n{i:02}@big.test", mailacceptinggeneralid="big@a.test") for i in range(12))
    + group("all", mail="all@a.test", mailacceptinggeneralid="all@a.test", memberdn=member("anna", "bert", "dora"))
    + group("nested", mail="nested@a.test", mailacceptinggeneralid="nested@a.test", memberdn=[f"cn=all,ou=groups,{B}", *member("carl")])
    + group("loop", mail="loop@a.test", mailacceptinggeneralid="loop@a.test", memberdn=[f"cn=loop,ou=groups,{B}", *member("carl")])
    + group("broken", mail="broken@a.test", mailacceptinggeneralid="broken@a.test", memberdn=[f"uid=nobody,ou=people,{B}", *member("carl")])
    + group("elsewhere", mail="elsewhere@a.test", maildrop="list@lists.test", mailacceptinggeneralid="elsewhere@a.test", memberdn=member("anna", "bert"))
    + group("url", mail="url@a.test", mailacceptinggeneralid="url@a.test", labeledURI=f"ldap:///ou=people,{B}?mail?one?(mail=*@b.test)")
    + group("urlall", mailacceptinggeneralid="urlall@a.test", labeledURI=f"ldap:///ou=people,{B}??one?(uid=bert)")
    + group("urlbad", mail="urlbad@a.test", mailacceptinggeneralid="urlbad@a.test", labeledURI="ldap://")
    + group("urlother", mail="urlother@a.test", mailacceptinggeneralid="urlother@a.test", labeledURI=f"ldap:///ou=people,{B}?maildrop?one?(uid=anna)")
    + group("urlbase", mail="urlbase@a.test", mailacceptinggeneralid="urlbase@a.test", labeledURI=f"ldap:///uid=anna,ou=people,{B}")
    + group("empty", mailacceptinggeneralid="empty@a.test")
)

COMMON = "server_host = ldap://127.0.0.1:{port}\nversion = 3\nsearch_base = dc=example,dc=test\ntimeout = 60\n"
GROUPS = "result_attribute =\nleaf_result_attribute = mail\nspecial_result_attribute = memberdn labeledURI\n"
DOMAINS = "anna@a.test ANNA@A.TEST carl@b.test team@a.test nobody@a.test anna a.test @a.test"

# name -> (settings behind COMMON, keys)
TABLES = {
    "plain": ("", DOMAINS + " dora@a.test emil@a.test star*(x)\\@a.test st* *@a.test anna*"),
    "inject": ("query_filter = (&(objectClass=mailEntry)(|(mail=%s)(uid=%u)))\nresult_attribute = uid\n",
               "*@a.test *)(uid=* anna@a.test)(uid=* anna\\2a anna\\ \\ star*(x)\\@a.test )( anna)) \xff\xfe ö@a.test & |"),
    "version2": ("version = 2\n", "anna@a.test nobody@a.test"),
    "version9": ("version = 9\n", "anna@a.test"),
    "all_mail": ("query_filter = (maildrop=*)\nresult_attribute = mail, uid\n", "x"),
    "local": ("query_filter = (uid=%u)\nresult_attribute = mail\n", DOMAINS),
    "domain": ("query_filter = (&(uid=%u)(mail=*@%d))\nresult_attribute = uid\n", DOMAINS),
    "labels": ("query_filter = (mail=%u@%2.%1)\nresult_attribute = uid\n", DOMAINS + " anna@x.a.test anna@test"),
    "only": ("domain = a.test, !c.test\nquery_filter = (mail=%s)\nresult_attribute = uid\n", DOMAINS + " anna@c.test carl@b.test"),
    "format": ("result_format = smtp:[%d]:%S:%U:%D:%1:%%\n", DOMAINS + " bert@a.test emil@a.test"),
    "filter": ("result_filter = <%s>\n", "anna@a.test bert@a.test"),
    "both_formats": ("result_filter = <%s>\nresult_format = [%s]\n", "anna@a.test"),
    "bad_format": ("result_format = %x\n", "anna@a.test"),
    "bad_query": ("query_filter = (mail=%y)\n", "anna@a.test"),
    "bad_base": ("search_base = ou=%z,dc=example,dc=test\n", "anna@a.test"),
    "broken_filter": ("query_filter = (mail=%s\n", "anna@a.test"),
    "empty_filter": ("query_filter =\n", "anna@a.test"),
    "base": ("search_base = ou=%d,dc=example,dc=test\n", "inside@a.test inside@b.test inside nobody@a.test"),
    "base_quote": ("search_base = uid=%u,ou=people,dc=example,dc=test\nscope = base\nquery_filter = (objectClass=*)\nresult_attribute = mail\n",
                   "anna@a.test anna comma\\, ,@a.test #anna an,ou=people anna+uid=anna anna\\ \"anna\" <anna> anna;x anna=x"),
    "base_comma": ("search_base = uid=%s,ou=people,dc=example,dc=test\nscope = base\nquery_filter = (objectClass=*)\nresult_attribute = mail\n", ["comma, plus+", "comma", " anna", "anna "]),
    "scope_one": ("scope = one\n", "anna@a.test"),
    "scope_one_people": ("scope = one\nsearch_base = ou=people,dc=example,dc=test\n", "anna@a.test inside@a.test"),
    "scope_bad": ("scope = tree\n", "anna@a.test"),
    "no_base": ("search_base = dc=elsewhere\n", "anna@a.test"),
    "root_base": ("search_base =\n", "anna@a.test"),
    "attributes": ("result_attribute = mail maildrop uid\n", "anna@a.test bert@a.test dora@a.test"),
    "attribute_case": ("result_attribute = MAILDROP\n", "anna@a.test"),
    "attribute_none": ("result_attribute =\n", "anna@a.test"),
    "attribute_unknown": ("result_attribute = shoeSize\n", "anna@a.test"),
    "utf8": ("result_attribute = note\n", "anna@a.test dora@a.test"),
    "utf8_filter": ("query_filter = (note=%s)\n", "Größe größe Gr*"),
    "octets": ("result_attribute = blob\n", "blob@a.test latin@a.test"),
    "groups": (GROUPS, "all@a.test nested@a.test broken@a.test url@a.test urlall@a.test urlbad@a.test urlother@a.test urlbase@a.test empty@a.test anna@a.test elsewhere@a.test"),
    "groups_regular": ("result_attribute = mail\nspecial_result_attribute = memberdn\n", "all@a.test nested@a.test anna@a.test"),
    "groups_terminal": (GROUPS + "terminal_result_attribute = maildrop\n", "elsewhere@a.test all@a.test nested@a.test anna@a.test"),
    "groups_limit": (GROUPS + "expansion_limit = 3\n", "all@a.test nested@a.test"),
    "groups_depth": (GROUPS + "recursion_limit = 2\n", "all@a.test nested@a.test loop@a.test"),
    "groups_loop": (GROUPS + "recursion_limit = 20\nexpansion_limit = 5\n", "loop@a.test"),
    "expansion_1": ("expansion_limit = 1\n", "anna@a.test bert@a.test team@a.test"),
    "expansion_3": ("expansion_limit = 3\n", "bert@a.test team@a.test"),
    "expansion_all": ("result_attribute = mail\nexpansion_limit = 12\n", "big@a.test"),
    "expansion_all_but_one": ("result_attribute = mail\nexpansion_limit = 11\n", "big@a.test"),
    "size_12": ("result_attribute = mail\nsize_limit = 12\n", "big@a.test"),
    "size_11": ("result_attribute = mail\nsize_limit = 11\n", "big@a.test"),
    "size_1": ("size_limit = 1\n", "bert@a.test team@a.test"),
    "recursion_0": ("recursion_limit = 0\n", "anna@a.test"),
    "negative": ("expansion_limit = -1\n", "anna@a.test"),
    "bind_no": ("bind = no\n", "anna@a.test hidden@a.test"),
    "bind_none": ("bind = none\n", "anna@a.test"),
    "bind_simple": ("bind = simple\nbind_dn = uid=reader,ou=people,dc=example,dc=test\nbind_pw = lesen\n", "hidden@a.test"),
    "bind_yes": ("bind = yes\nbind_dn = uid=reader,ou=people,dc=example,dc=test\nbind_pw = lesen\n", "hidden@a.test"),
    "bind_wrong": ("bind_dn = uid=reader,ou=people,dc=example,dc=test\nbind_pw = falsch\n", "hidden@a.test"),
    "bind_anonymous": ("", "hidden@a.test"),
    "bind_bad": ("bind = maybe\n", "anna@a.test"),
    "host_port": ("server_host = 127.0.0.1\nserver_port = {port}\n", "anna@a.test"),
    "host_colon": ("server_host = 127.0.0.1:{port}\nserver_port = 1\n", "anna@a.test"),
    "hosts": ("server_host = 127.0.0.1:{closed} 127.0.0.1:{port}\n", "anna@a.test nobody@a.test"),
    "urls": ("server_host = ldap://127.0.0.1:{closed}, ldap://127.0.0.1:{port}\n", "anna@a.test"),
    "urls_bad": ("server_host = ldap://127.0.0.1:99999999 ldap://127.0.0.1:{port}\n", "anna@a.test"),
    "url_odd": ("server_host = ldap://127.0.0.1:{port}/dc=other?uid?base\n", "anna@a.test"),
    "ldapi": ("server_host = ldapi://{socket}\n", "anna@a.test nobody@a.test"),
    "down": ("server_host = ldap://127.0.0.1:{closed}\n", "anna@a.test"),
    "dereference": ("dereference = 3\n", "anna@a.test"),
    "dereference_bad": ("dereference = 4\n", "anna@a.test"),
    "referrals": ("chase_referrals = yes\n", "anna@a.test"),
    "obsolete": ("cache = yes\ncache_expiry = 30\ncache_size = 30000\ndebuglevel = 0\n", "anna@a.test"),
    "unknown": ("query = x\nfrobnicate = yes\n", "anna@a.test"),
    "no_tls": ("start_tls = yes\n", "anna@a.test"),
    "tls_checked": ("start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_file = {ca}\n", "anna@a.test"),
    "tls_unknown": ("start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_file = {other_ca}\n", "anna@a.test"),
    "tls_missing": ("start_tls = yes\ntls_require_cert = yes\ntls_ca_cert_file = /nonexistent\n", "anna@a.test"),
    "ldaps": ("server_host = ldaps://127.0.0.1:{tls_port}\ntls_require_cert = yes\ntls_ca_cert_file = {ca}\n", "anna@a.test nobody@a.test"),
    "ldaps_unknown": ("server_host = ldaps://127.0.0.1:{tls_port}\ntls_require_cert = yes\ntls_ca_cert_file = {other_ca}\n", "anna@a.test"),
    "ldaps_start_tls": ("server_host = ldaps://127.0.0.1:{tls_port}\nstart_tls = yes\n", "anna@a.test"),
    "tls_version2": ("version = 2\nstart_tls = yes\n", "anna@a.test"),
    "bad_bool": ("start_tls = maybe\n", "anna@a.test"),
    "main_cf": (None, "anna@a.test nobody@a.test"),
}

MAIN_CF = "compatibility_level = 3.6\nmyhostname = mail.example.test\nmydomain = example.test\nalias_maps =\nalias_database =\nmail_owner = {user}\n"


def keys(spec):
    return [k.encode("latin-1") if "\xff" in k else k.encode() for k in (spec if isinstance(spec, list) else spec.split(" "))]


def write(folder, ports):
    """The tables' files in `folder`, and its main.cf."""
    main = (folder / "main.cf").read_text()
    for name, (settings, _) in TABLES.items():
        text = (COMMON + (settings or "")).format(**ports)
        if settings is None:
            main += "".join(f"{name}_{line}\n" for line in text.splitlines())
        else:
            # The last of several lines counts, with a warning; the point here is another one.
            again = {line.split(" =")[0] for line in settings.splitlines()}
            kept = [line + "\n" for line in COMMON.format(**ports).splitlines() if line.split(" =")[0] not in again]
            write_settled(folder / f"{name}.cf", "".join(kept) + settings.format(**ports))
    write_settled(folder / "main.cf", main)


def play(postmap, folder, ports, tables=TABLES):
    """{table: {key: [status, output, errors]}} as postmap says."""
    out = {}
    for name in tables:
        settings, asked = TABLES[name]
        spec = f"ldap:{name}" if settings is None else f"ldap:{folder}/{name}.cf"
        out[name] = {}
        for key in keys(asked):
            r = subprocess.run([*postmap, "-c", str(folder), "-q", key, spec], capture_output=True, cwd=folder, timeout=120)
            out[name][key.decode("latin-1")] = [r.returncode, r.stdout.decode("utf-8", "replace"), shown(r.stderr.decode("utf-8", "replace"), folder, ports)]
    return out


def shown(text, folder, ports):
    text = text.replace(str(folder), "DIR").replace(ports["socket"], "SOCKET")
    for name in ("port", "tls_port", "closed"):
        text = text.replace(f":{ports[name]}", f":{name.upper()}")
    return "".join(line.rstrip() + "\n" for line in text.splitlines())


def has_oracle():
    return all((ORACLE / name).exists() for name in ("usr/sbin/postmap", "usr/lib/postfix/postfix-ldap.so", "meta/dynamicmaps.cf"))


def oracle(folder, ports, tables=TABLES):
    """What Postfix answers."""
    (folder / "main.cf").write_text(MAIN_CF.format(user="postfix") + f"queue_directory = {folder}\nshlib_directory = {ORACLE}/usr/lib/postfix\nmeta_directory = {ORACLE}/meta\n")
    write(folder, ports)
    return play([str(ORACLE / "usr/sbin/postmap")], folder, ports, tables)


def main():
    import test_ldap
    with tempfile.TemporaryDirectory(prefix="hk-ldap-") as d:
        d = pathlib.Path(d)
        os.chmod(d, 0o755)
        with test_ldap.Slapd(d / "slapd") as s:
            (d / "etc").mkdir()
            got = oracle(d / "etc", s.ports)
    RECORDED.write_text(json.dumps(got, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    main()
