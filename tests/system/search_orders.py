"""What test_search_orders.py asks, of us and of Postfix: configurations whose tables answer with the key that was found, and addresses.

Each domain dN.test lacks the first N-1 keys of a search, so that one configuration shows the whole order. Replies to RCPT tell which key it was:
transports are `error:` with the key as text. `python3 tests/system/search_orders.py record` asks Postfix again and writes search_orders.json, which
the test compares with, so that no Postfix is needed there.
"""
import contextlib, json, os, pathlib, re, signal, socket, subprocess, sys, tempfile, time

HERE = pathlib.Path(__file__).resolve().parent
RECORDED = HERE / "search_orders.json"
ORACLE = pathlib.Path(os.environ.get("ORACLE_ROOT", "/var/tmp/peers/postfix"))

BASE = """compatibility_level = 3.6
myhostname = mail.example.test
mydomain = example.test
myorigin = local.test
mydestination = local.test
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
alias_maps =
alias_database =
local_recipient_maps =
local_transport = error:5.4.1 class local
relay_transport = error:5.4.2 class relay
virtual_transport = error:5.4.3 class virtual
default_transport = error:5.4.4 class default
smtpd_recipient_restrictions =
smtpd_relay_restrictions = permit_mynetworks reject_unauth_destination
smtpd_client_restrictions =
smtpd_peername_lookup = no
smtpd_error_sleep_time = 0
smtpd_soft_error_limit = 1000
smtpd_hard_error_limit = 1000
smtpd_junk_command_limit = 10000
"""
USERS = ["user+ext", "user", "USER+EXT", "other", "user-ext", "user+a-b", "user-a+b", "user+", "+ext", "owner-list", "list-request", "postmaster+x",
         "mailer-daemon-x", "double-bounce+x", '"quoted user"', '"user+ext"', "user+ext+more"]
DOMAINS = [f"d{n}.test" for n in range(1, 8)]
# In the order of most searches.
KEYS = ["user+ext@{}", "user@{}", "user-ext@{}", "@{}", "{}", ".{}", "sub.{}"]


def table(value="{key}", keys=KEYS, users=False):
    lines = [k.format(d) for n, d in enumerate(DOMAINS) for k in keys[n % len(keys):]]
    lines += ["user+ext@local.test", "user@local.test", "other", "list", "owner", "postmaster", "mailer-daemon", '"quoted user"@d1.test', "user@[127.0.0.1]"]
    if users:
        lines += ["user", "user+ext", "USER2", "quoted user", "double-bounce"]
    return "".join(f"{k}\t{value.format(key=k)}\n" if '"' not in k else f'"{k.replace(chr(34), chr(92) + chr(34))}"\t{value.format(key="quoted")}\n' for k in lines)


ERROR, GONE = "error:5.1.1 key {key}", "key {key}"
ADDRESSES = [f"{u}@{d}" for d in DOMAINS for u in USERS[:6]] + [f"{u}@d2.test" for u in USERS[6:]] + [f"x@{s}{d}" for d in DOMAINS for s in ("sub.", "a.sub.")]
ADDRESSES += [u for u in USERS] + [f"{u}@local.test" for u in USERS] + ["user@[127.0.0.1]", "other@[127.0.0.1]", "user@[127.0.0.2]", "user2", "x%y@local.test", "user%d1.test@local.test",
              "user@d1.test.", "user@D1.TEST", "a@b@d1.test", "user@other.example", "user@sub.other.example", "user@dd1.test"]
DELIMITERS = ["", "recipient_delimiter = +\n", "recipient_delimiter = +-\n", "recipient_delimiter = -\nowner_request_special = no\n"]
PARENTS = ["", "parent_domain_matches_subdomains =\n", "parent_domain_matches_subdomains = transport_maps, relay_domains\n"]
# (title, main.cf, files, [-o of a server], senders, recipients)
CASES = []


def case(title, main, files=None, services=("",), senders=("a@b.example",), recipients=ADDRESSES):
    CASES.append({"title": title, "main": main, "files": files or {}, "services": list(services), "senders": list(senders), "recipients": list(recipients)})


for n, (delimiter, parents) in enumerate([(0, 0), (1, 0), (2, 0), (3, 0), (1, 2), (0, 1)]):
    case(f"transport_maps {n}", f"transport_maps = texthash:{{dir}}/t\n{DELIMITERS[delimiter]}{PARENTS[parents]}", {"t": table(ERROR)})
case("transport_maps: a star, and patterns", "transport_maps = regexp:{dir}/p, texthash:{dir}/t\nrecipient_delimiter = +\n",
     {"t": table(ERROR) + "*\terror:5.1.1 star\n", "p": "/^user@d4/ error:5.1.1 pattern user\n/^d[56]/ error:5.1.1 pattern domain\n/^@d/ error:5.1.1 pattern at\n/^other\\+?.*@d7/ error:5.1.1 pattern other\n/^\\*$/ error:5.1.1 pattern star\n"})
case("transport_maps: parts are empty", "transport_maps = inline:{ { d1.test = : }, { d2.test = error: }, { d3.test = :nexthop }, { d4.test = error }, { d5.test = retry:5.7.8 r }, { d6.test = error:4.1.1 soft }, { d7.test = error:no code } }\n")
for n in range(4):
    case(f"relocated_maps {n}", f"relocated_maps = texthash:{{dir}}/t\n{DELIMITERS[n]}", {"t": table(GONE, users=n % 2 == 1)})
CLASSES = {"local_recipient_maps": "mydestination = local.test, " + ", ".join(DOMAINS), "relay_recipient_maps": "relay_domains = " + ", ".join(DOMAINS),
           "virtual_mailbox_maps": "virtual_mailbox_domains = " + ", ".join(DOMAINS)}
for parameter, domains in CLASSES.items():
    for n in range(4):
        case(f"{parameter} {n}", f"{domains}\n{parameter} = texthash:{{dir}}/t\n{DELIMITERS[n]}", {"t": "".join(
            f"{KEYS[i].format(d)} x\n" for i, d in enumerate(DOMAINS)) + ("user x\nlist x\n" if n % 2 else "user+ext@local.test x\n@[127.0.0.1] x\n")})
for n in range(3):
    case(f"sender_dependent_default_transport_maps {n}", f"sender_dependent_default_transport_maps = texthash:{{dir}}/t\n{DELIMITERS[n]}",
         {"t": table(ERROR, users=n == 1) + ("<>\terror:5.1.1 null\n" if n else "") + "dunno@d7.test DUNNO\n@d7.test error:5.1.1 at\n"},
         senders=[a for a in ADDRESSES if a[:1] != "+"] + ["", "dunno@d7.test"], recipients=["x@far.example"])
SOME = ["x@" + d for d in ("one.test", "sub.one.test", "a.sub.one.test", "two.test", "sub.two.test", "ONE.Test", "three.test", "sub.three.test", "four.test", "none.test", "[127.0.0.1]")]
for parameter in ("relay_domains", "mydestination", "virtual_mailbox_domains"):
    for n, parents in enumerate(PARENTS):
        for k, value in enumerate(["one.test, .two.test", "!sub.one.test, one.test, {dir}/f", "texthash:{dir}/t, regexp:{dir}/p", "!texthash:{dir}/t one.test two.test", "hash:{dir}/none four.test"]):
            if k == 4 and n:
                continue
            case(f"{parameter} {n} {k}", f"{parameter} = {value}\n{parents}", {"f": "three.test\n!four.test\n.two.test four.test\n", "t": "one.test x\n.two.test x\n.one.test x\n", "p": "/three/ x\n/^four.test$/ x\n"}, recipients=SOME)
NETWORKS = ["127.0.0.0/8", "127.0.0.1", "127.0.0.2", "!127.0.0.1, 127.0.0.0/8", "127.0.0.0/31 !127.0.0.1", "127.0.0.2/31", "{dir}/n", "!{dir}/n 127.0.0.0/8", "cidr:{dir}/c", "texthash:{dir}/a", "texthash:{dir}/w",
            "regexp:{dir}/r", "!cidr:{dir}/c 127.0.0.0/8", "[::1] 127.0.0.1", "[::]/0", "0.0.0.0/0", "cidr:{dir}/none 127.0.0.1", "10.0.0.0/8 cidr:{dir}/none"]
case("mynetworks", "", {"n": "# comment\n10.0.0.0/8\n127.0.0.0/8\n", "c": "10.0.0.0/8 x\n127.0.0.1 x\n", "a": "127.0.0.1 x\n", "w": "127.0.0 x\n127 x\n", "r": "/^127\\.0/ x\n"},
     services=["-o { mynetworks = " + v + " }" for v in NETWORKS], recipients=["x@far.example", "x@local.test"])


def talk(port, senders, recipients):
    """The replies to RCPT; of MAIL where that is refused."""
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), 30)) as s:
        f = s.makefile("rwb")

        def cmd(line):
            if line is not None:
                f.write(line.encode() + b"\r\n")
                f.flush()
            lines = [f.readline().decode("latin-1").rstrip()]
            while lines[-1][3:4] == "-":
                lines.append(f.readline().decode("latin-1").rstrip())
            return "\n".join(lines)

        cmd(None)
        cmd("HELO client.example")
        out = []
        for sender in senders:
            for recipient in recipients:
                said = cmd(f"MAIL FROM:<{sender}>")
                out.append(cmd(f"RCPT TO:<{recipient}>") if said.startswith("250") else said)
                cmd("RSET")
        return out


def asked(c):
    return [f"{s} {r}" if len(c["senders"]) > 1 else r for s in c["senders"] for r in c["recipients"]]


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def record_one(c):
    with tempfile.TemporaryDirectory(prefix="hk-orders-") as top:
        d, run = pathlib.Path(top), os.environ["ORACLE_SCRIPT"]
        os.chmod(d, 0o755)
        (d / "etc").mkdir()
        for name, text in c["files"].items():
            (d / name).write_text(text)
        ports = free_ports(len(c["services"]))
        replaced = {l.split(" =")[0] for l in c["main"].splitlines()}
        main = "".join(l + "\n" for l in BASE.splitlines() if l.split(" =")[0] not in replaced) + c["main"]
        (d / "etc/main.cf").write_text(main.replace("{dir}", str(d)))
        master = "".join(f"127.0.0.1:{p} inet n - n - - smtpd {o}\n".replace("{dir}", str(d)) for p, o in zip(ports, c["services"]))
        master += "pickup unix n - n 60 1 pickup\ncleanup unix n - n - 0 cleanup\nqmgr unix n - n 300 1 qmgr\nrewrite unix - - n - - trivial-rewrite\nproxymap unix - - n - - proxymap\n" \
                  "anvil unix - - n - 1 anvil\nsmtp unix - - n - - smtp\nerror unix - - n - - error\nbounce unix - - n - 0 bounce\npostlog unix-dgram n - n - 1 postlogd\n"
        (d / "etc/master.cf").write_text(master)
        subprocess.run([run, "start", d], check=True, stdout=subprocess.DEVNULL)
        try:
            return [[x.replace(str(d), "DIR") for x in talk(p, c["senders"], c["recipients"])] for p in ports]
        finally:
            subprocess.run([run, "stop", d], env=dict(os.environ, ORACLE_FAST_STOP="1"))


def main():
    if sys.argv[1:2] != ["record"] or "ORACLE_SCRIPT" not in os.environ:
        sys.exit(__doc__ + "\nORACLE_SCRIPT: what starts and stops Postfix in a folder.")
    old = json.loads(RECORDED.read_text()) if RECORDED.exists() else {}
    for c in CASES:
        if len(sys.argv) < 3 or c["title"].startswith(sys.argv[2]):
            old[c["title"]] = [dict(zip(asked(c), replies)) for replies in record_one(c)]
            print(c["title"], flush=True)
    RECORDED.write_text(json.dumps({c["title"]: old[c["title"]] for c in CASES if c["title"] in old}, indent=0) + "\n")


if __name__ == "__main__":
    main()
