"""Sessions nobody wrote: from a seed, a file of cases as tests/compat/dialogues has them (README.md there says what its lines mean).

One seed is one configuration and some sessions for it. The same seed gives the same text, always. What docs/differences.md says is refused here and
taken by Postfix (control characters in addresses and codes, ENVID beyond 100 bytes, ORCPT beyond 500, letters that become ASCII when case is ignored)
is not made, nor messages of about message_size_limit, nor a SIZE above it; HELP is not in Postfix 3.7."""
import random

HOSTS = ["good.test", "relay.test", "example.test", "sender.test", "alias.test", "elsewhere.test", "sub.good.test"]
ODD_HOSTS = ["GOOD.test", "good.test.", "good..test", ".good.test", "good.test..", "-good.test", "good-.test", "good_x.test", "host", "localhost", "com",
             "127.0.0.1", "[127.0.0.1]", "[127.0.0.1", "127.0.0.1]", "[127.0.0.256]", "[IPv6:::1]", "[ipv6:::1]", "[IPv6:1::2::3]", "[::1]", "[]", "[good.test]",
             "[tag:what]", "1.2.3.4.", "1.2.3", "4294967295", "0x7f.1", "a" * 63 + ".test", "a" * 64 + ".test", "x." * 120 + "test", "x." * 140 + "test", "",
             "bücher.test", "xn--bcher-kva.test", "\udcff.test", "good.test\udce9", "exa mple.test", "good.test(c)", "(c)good.test", "good .test", "good. test",
             "good.test,", "good.test;", "good.test:", "good.test>", "a<b", "a:b", "a\\b.test", "\"good.test\"", "g%d.test", "g!d.test", "g/d.test",
             "*.test", "good.test%relay.test", "mail.example.test", "MAIL.EXAMPLE.TEST", "[127.0.0.1]x", "x[127.0.0.1]", "nullmx.test", "servfail.test", "nohost.test",
             "test.", ".", "..", "-", "_", "a.-b.test", "a.b-", "1", "1.2.3.4.5", "256.1.1.1", "١.test", "fäß.test", "日本.test", "good。test"]
LOCALS = ["user", "a", "b", "joe", "user+ext", "First.Last", "postmaster", "MAILER-DAEMON", "old", "one", "two", "rejected", "held", "x-y", "user_1"]
ODD_LOCALS = ["\"a b\"", "\"a\\\"b\"", "\"a\\b\"", "a\\b", "a\\@b", "\"a@b\"", "a@b", "\"\"", "", "\"", "a\"", "\"a", "a\"b\"c", "\"a\".b", "a.\"b\"", "\"a\".\"b\"", ".a", "a.",
              "a..b", "..", ".", "a b", "a  b", " a", "a ", "a\tb", "(c)a", "a(c)", "a(", "a)", "a(b(c)d)e", "a,b", "a;b", "a:b", "a<b", "a>b", "<a>", "a[b]", "[a]", "a]", "-a",
              "--a", "\"-a\"", "|cmd", "\"|cmd arg\"", "/file", ":include:/x", "\":include:/x\"", "a!b", "x!y!z", "!", "a!", "!a", "bad..host!b", "good.test!b", "example.test!b",
              "a%b", "a%good.test", "a%b%c", "%", "a%", "%a", "user%example.test", "user%relay.test%example.test", "\"a%b\"", "a%b!c", "a+", "+a", "+", "a++b", "a+b+c", "a-b", "a*b", "a=b", "a/b", "a?b",
              "a&b", "a'b", "a`b", "a{b}", "a|b", "a~b", "a^b", "a$b", "$a", "a#b", "jörg", "\"jörg m\"", "\udcff", "用户", "u" * 64, "u" * 65, "u" * 200, "u" * 300,
              "\"" + "q" * 70 + " q\"", "\\\"a\\\"", "\\a", "a\\", "\"a\\\\\"", "\"a\\\"", "a\\ b", "owner-list", "list-request", "owner-list+x", "double-bounce", "nobody+", "r5a", "r4a", "bounce+a=b", "\"a,b\"",
              "\"a;b\"", "\"(c)\"", "\"<a>\"", "\"a:b\"", "\"@a\"", "\"a.b\"", "\"a..b\"", "\".a\"", "a\"\"b", "a \"b\"", "\"b\" a", "=?utf-8?q?a?=", "\"a\tb\""]
WRAPS = ["<{}>"] * 40 + ["{}", "<<{}>>", "<<{}>", "<{}>>", "< {} >", " <{}>", "<{}> ", "<{}>x", "x<{}>", "Name <{}>", "\"Name\" <{}>", "<{}", "{}>", "<{}>,<x@good.test>", "<{}>;", "(c)<{}>", "<{}>(c)",
                         "<(c){}>", "<{}(c)>", "{} {}", "<{},{}>", "\"{}\"", "'{}'", "<'{}'>", "[{}]", "<[{}]>", "({})", "<{}.>", "<.{}>", "<@{}>", "<{}><{}>", "<mailto:{}>", "\t<{}>", "<{}>\t", "g:{};", "<g:{};>"]
ROUTES = ["@a.test:", "@a.test,@b.test:", "@:", "@a.test", "@a.test,", "@a.test,b.test:", "a.test:", ":", "@[127.0.0.1]:", "@a test:", "@a.test,@:", "@a.test: ", "@a.test:@b.test:"]
MAIL_PARAMETERS = ["SIZE=100", "SIZE=0", "SIZE=", "SIZE", "size=5", "SIZE=-1", "SIZE=1x", "SIZE=199999", "SIZE=50001", "SIZE=99999999999999999999", "SIZE=+5", "SIZE=007", "SIZE=10 SIZE=20",
                   "BODY=8BITMIME", "BODY=7BIT", "body=8bitmime", "BODY=BINARYMIME", "BODY=", "BODY", "BODY=7BIT BODY=8BITMIME", "RET=FULL", "RET=HDRS", "RET=full", "RET=", "RET", "RET=x", "RET=FULL RET=HDRS",
                   "RET=FULL RET=FULL", "ENVID=abc", "ENVID=", "ENVID=a+20b", "ENVID=a+2", "ENVID=a+zz", "ENVID=+C3+A9", "ENVID=é", "ENVID=a=b", "ENVID=+2B", "ENVID=+2b", "ENVID=" + "e" * 100,
                   "ENVID=a ENVID=b", "envid=q", "ENVID=a+", "AUTH=<>", "AUTH=a", "AUTH=", "AUTH", "AUTH=a+3Db@c", "AUTH=<a> AUTH=b", "AUTH=a+zz", "SMTPUTF8", "smtputf8", "SMTPUTF8=", "SMTPUTF8=yes",
                   "SMTPUTF8 SMTPUTF8", "XVERP", "XVERP=+=", "XVERP=", "XVERP=ab", "XVERP=+", "xverp", "NOTIFY=NEVER", "ORCPT=rfc822;a", "FOO", "FOO=bar", "=", "=x", "x", "<b@c>", "\"q\"", "REQUIRETLS", "HOLDFOR=10", "MT-PRIORITY=3", ";", "(c)",
                   "BY=10;R", "ENVID=a,b", "ENVID=\"a b\"", "ENVID=<a b>", "é", "FOO=" + "y" * 500]
RCPT_PARAMETERS = ["NOTIFY=NEVER", "NOTIFY=SUCCESS", "NOTIFY=FAILURE", "NOTIFY=DELAY", "NOTIFY=SUCCESS,FAILURE,DELAY", "NOTIFY=success,Delay", "NOTIFY=NEVER,SUCCESS", "NOTIFY=", "NOTIFY", "NOTIFY=x", "NOTIFY=,", "NOTIFY=SUCCESS,",
                   "NOTIFY=,SUCCESS", "NOTIFY=SUCCESS,,DELAY", "NOTIFY=SUCCESS,SUCCESS", "NOTIFY=SUCCESS,x", "NOTIFY=NEVER NOTIFY=NEVER", "notify=never", "NOTIFY=SUCCESS NOTIFY=DELAY", "NOTIFY=NEVER,NEVER", "NOTIFY=é", "ORCPT=rfc822;a@b",
                   "ORCPT=rfc822;", "ORCPT=;a", "ORCPT=", "ORCPT", "ORCPT=rfc822", "ORCPT=rfc822;a+20b", "ORCPT=rfc822;a+2", "ORCPT=rfc822;a+zz", "ORCPT=utf-8;é@b", "ORCPT=utf-8;\\x{e9}@b", "ORCPT=x y;z",
                   "ORCPT=rfc 822;z", "ORCPT=x;y;z", "ORCPT=x-y;z", "ORCPT=x_y;z", "ORCPT=x.y;z", "ORCPT=rfc822;a=b", "ORCPT=rfc822;+2B", "ORCPT=rfc822;+2b", "ORCPT=rfc822;a ORCPT=rfc822;b", "orcpt=RFC822;a", "ORCPT=rfc822;" + "o" * 450,
                   "ORCPT=rfc822;" + "o" * 493, "ORCPT=rfc822;+C3+A9", "ORCPT=rfc822;\"a\"@b", "ORCPT=rfc822;<a@b>", "SIZE=10", "RET=FULL", "FOO", "FOO=bar", "=", "SMTPUTF8", "BODY=8BITMIME", "RRVS=2020", "x", ",",
                   "<x@y>", "\"", "\"a b\"", "é"]
HELLO = ["client.test", "CLIENT.test", "client.test.", "localhost", "[127.0.0.1]", "[127.0.0.1", "127.0.0.1", "[IPv6:::1]", "[300.1.1.1]", "a_b", "a b", "", " ", "-x", "x-", "x..y", ".x", "host", "é.test", "\udcff", "a" * 300, "<x>", "a(b", "a\"b", "mail.example.test",
         "good.test", "\x01", "x%y", "x;y", "x@y", "x,y", "nohost.test", "servfail.test", "1.2.3", "rejected.test", "a" * 64 + ".test", "[]", "[1.2.3.4]x", "xn--a", "x\\y", "x&y", "<script>", "::1", "sub.rejected.test", "example.test", "[good.test]"]
ARGUMENTS = ["", " ", " x", " x y", " <user@relay.test>", " user@relay.test", " user@nowhere.invalid", " <>", " \"a b\"@good.test", " relay.test", " [127.0.0.1]", " #relay.test", " @relay.test", " good.test extra", " -x", " é@relay.test", " user@relay.test SMTPUTF8", " é@relay.test SMTPUTF8",
             " x..y", " .", " <user", " user@good.test,b", " (c)", " a@b@c", " " + "x" * 300, "\t", " %", " 127.0.0.1", "=x", " postmaster", " user", " \"", " \\", "\x03"]
VERBS = ["NOOP", "VRFY", "ETRN", "RSET", "EXPN", "DATA", "STARTTLS", "AUTH", "XCLIENT", "XFORWARD", "QUIT!", "XVERP", "TURN", "SEND", "noop", "vrfy", "Rset", "MAIL", "RCPT", "MAIL FROM", "RCPT TO:", "MAIL FROM:", "mail from:<>", "ETRN #", "BDAT", "LHLO",
         "", " ", "X", "<a@b>", "MAIL  FROM:<a@sender.test>", "MAIL\tFROM:<a@sender.test>", " NOOP", "NOOP\x01", "NO\x00OP", "é", "\udcff\udcfe", "." , "..", "NOOP:", "MAIL FROM <a@sender.test>", "MAIL FROM : <a@sender.test>", "MAIL from:<a@sender.test>", "RCPT TO: <b@relay.test>",
         "RCPT To:b@relay.test", "GET / HTTP/1.0", "Subject: x", "DATA x", "RSET x", "AUTH PLAIN AGE=", "AUTH LOGIN", "STARTTLS x", "MAILFROM:<a@b>", "MAIL FROM:a@sender.test", "MAIL TO:<a@b>", "RCPT FROM:<a@b>", "y" * 600, "NOOP " + "z" * 2100]
NAMES = ["Subject", "From", "To", "Cc", "Bcc", "Sender", "Reply-To", "Date", "Message-ID", "Received", "Return-Path", "Resent-From", "Resent-To", "Resent-Date", "Resent-Message-ID", "Resent-Bcc", "Resent-Cc", "Resent-Sender", "Content-Type", "Content-Transfer-Encoding", "MIME-Version", "Content-Length",
         "Delivered-To", "Errors-To", "Return-Receipt-To", "Disposition-Notification-To", "Apparently-To", "Mail-Followup-To", "X-Test", "X-Reject", "X-Replace", "X-Strip", "X-Prepend", "X-Warn", "X-Long", "subject", "FROM", "tO", "X", "List-Id", "Status", "Lines", "Importance", "Comments", "DKIM-Signature",
         "Disposition-Notification-to", "Errors-to", "Reply-to", "Resent-Reply-To", "Original-Recipient", "Content-Disposition"]
VALUES = ["text", "", " ", "a b c", "user@good.test", "<user@host>", "joe", "Joe <joe@host>", "\"Joe B\" <joe@sender.test>", "joe@host (Joe)", "a@b, c@d", "a, b, c", "a b@c", "group: a@b, c;", "undisclosed-recipients:;", "<>", "old@sender.test", "x@sub.masq.test", "user%host@sender.test", "host!user", "a@b@c", "\"unclosed", "(unclosed",
          "<unclosed", "a@[127.0.0.1]", "jörg@bücher.test", "Jörg <j@sender.test>", "=?utf-8?q?J?= <j@x>", "a@b.", "a@", "@b", ",", ",,a@b", "a@b,", ";", ":", "a;b", "a:b", "\"a\"@b", "\"a b\"@host", "a.b.@c", "<a@b> <c@d>", "A <a@b> tail", "<@r:a@b>", "a\tb@c", "(c1) a@b (c2)", "text/plain", "text/plain; charset=utf-8", "multipart/mixed; boundary=b1",
          "multipart/mixed; boundary=\"b 1\"", "multipart/mixed", "message/rfc822", "multipart/digest; boundary=b1", "message/partial", "text", "7bit", "8bit", "base64", "quoted-printable", "binary", "x", "1.0", "Mon, 1 Jan 2024 00:00:00 +0000", "<id@x>", "from a by b; date", "v" * 200, "w" * 1100, "w " * 700, "a@b, " * 40, "\x01\x02", "\udcff\udcfe",
          "folded\r\n more", "folded\r\n\tmore\r\n more", "folded\r\n \r\n more", "folded\r\n more\r\n", "x\\y", "a\\@b", "\\", "\"a\\\"b\" <c@d>", "a@b\r\n ,c@d", "(a\\)b) c@d", "\"A\tB\" <c@d>", "a@x, \"B, C\" <d@e>, f", "Name: <a@b>;", "a@b (x) (y), c", "a@b;c@d"]
LINES = ["text", "", ".", "..", ".x", "From x", "From: y", " indented", "--b1", "--b1--", "--b 1", "Content-Type: text/plain", "Content-Type: message/rfc822", "Content-Transfer-Encoding: 8bit", "Subject: inner", "forbidden", "replace me", "x" * 998, "x" * 1200, "x" * 2100, "8-bit: é", "\udcff", "nul\x00nul", "cr\rcr", "tab\t", "trailing ", "\x7f\x01", "MIME-Version: 1.0",
         "Content-Type: multipart/mixed; boundary=b2", "--b2", "--b2--", "BDAT 3", "QUIT", "\x1a", "é" * 600]
OPENINGS = [[], [""], ["From user Mon Jan 1 00:00:00 2024"], [">From user Mon Jan 1"], ["no colon here"], [" leading blank: x"], ["\tx"], [": no name"], ["Sub ject: blank"], ["Subject : blank"], ["Subject\t: x"], ["Sübject: x"], ["X-\x01: x"], ["a:b"], ["X-Nul: \x00"], ["Subject:"], ["--b1"], [".dot: x"], ["..dot: x"], ["From user", "From user"], ["Mail: x"],
            ["From user", "Subject: x"], ["X" * 200 + ": y"], ["X-Cr: a\rb"], ["\x00"], ["\r"]]
ENDS = ["\r\n"] * 30 + ["\n", "\r\r\n", "\r\n\r\n", "\n\r\n"]

FILES = """\
[file virtual]
one@alias.test b@good.test
two@alias.test b@good.test, c@good.test
@catch.test caught@good.test
@map.test @good.test
joe other.joe@good.test
quoted@alias.test "a b"@good.test
a.b@relay.test dotted@good.test
ext+known@alias.test known@good.test
ext@alias.test e@good.test
first.last@example.test fl@good.test
[file canonical]
old@sender.test New.Name@sender.test
@olddomain.test @sender.test
old canonical-old
"a b"@good.test ab@good.test
a joined@sender.test
@host @hosts.test
@example.test @sender.test
[file canonre]
/^x-(.*)@(.*)$/ y.$1@$2
/^(.*)\\+(.*)@good\\.test$/ $1@good.test
/^u%(.*)$/ percent@$1
[file access]
rejected.test REJECT not this domain
.rejected.test REJECT not below
rejected@ REJECT not this user
user@good.test REJECT not you
user+ext@good.test REJECT not this extension
host REJECT a host
held@ HOLD
sub.good.test 450 4.7.1 later
<> REJECT null
a@ 554 5.7.9 not a
joe@ DUNNO
[127.0.0.1] REJECT literal
127.0.0.1 REJECT number
-a@ REJECT minus
"a b"@ REJECT blank
postmaster@ OK
jörg@ REJECT umlaut
[file accessre]
/^[^@]*$/ REJECT no domain: $0
/@.*@/ REJECT two
/["\\\\]/ REJECT quoted
/\\.$/ REJECT dot at the end
/[%!]/ WARN route
[file headers]
/^X-Reject:/ REJECT header
/^X-Replace: *(.*)/ REPLACE X-Replaced: $1
/^X-Strip:/ IGNORE
/^X-Prepend:/ PREPEND X-Before: it
/^X-Warn:/ WARN mind this
/^Subject:.*inner/ WARN inner
/^[^ ]{60}/ WARN long name
/[\\x80-\\xff]/ INFO eight bits
/^From .*x/ INFO from line
[file body]
/forbidden/ REJECT bad words
/replace me/ REPLACE replaced
/^From/ WARN from
/^--b/ WARN boundary
"""
FIXED = """\
relay_domains = relay.test
mydestination = example.test
local_transport = smtp:[127.0.0.1]:2525
virtual_alias_domains = alias.test
"""
# name, values, how often it is set
SETTINGS = [("strict_rfc821_envelopes", ["yes"], .25), ("smtputf8_enable", ["no"], .3), ("allow_percent_hack", ["no"], .3), ("swap_bangpath", ["no"], .3), ("append_dot_mydomain", ["yes", "no"], .5), ("append_at_myorigin", ["yes"], .1),
            ("recipient_delimiter", ["+", "-", "+-", "="], .6), ("virtual_alias_maps", ["texthash:DIR/etc/virtual"], .5), ("canonical_maps", ["texthash:DIR/etc/canonical", "regexp:DIR/etc/canonre"], .3),
            ("sender_canonical_maps", ["texthash:DIR/etc/canonical"], .2), ("recipient_canonical_maps", ["regexp:DIR/etc/canonre"], .2), ("masquerade_domains", ["sender.test", "masq.test !sub.masq.test good.test"], .2), ("masquerade_classes", ["envelope_sender, envelope_recipient, header_sender, header_recipient"], .1),
            ("header_checks", ["regexp:DIR/etc/headers"], .35), ("body_checks", ["regexp:DIR/etc/body"], .25), ("nested_header_checks", ["regexp:DIR/etc/headers"], .1), ("mime_header_checks", ["regexp:DIR/etc/headers"], .1), ("strict_mime_encoding_domain", ["yes"], .1), ("strict_8bitmime", ["yes"], .1), ("strict_7bit_headers", ["yes"], .1),
            ("strict_8bitmime_body", ["yes"], .1), ("disable_mime_input_processing", ["yes"], .1), ("mime_nesting_limit", ["1"], .05), ("mime_boundary_length_limit", ["3"], .05), ("header_address_token_limit", ["6"], .08), ("header_size_limit", ["600"], .08), ("local_header_rewrite_clients", ["", "static:all", "permit_mynetworks"], .4),
            ("remote_header_rewrite_domain", ["domain.invalid"], .3), ("always_add_missing_headers", ["yes"], .3), ("message_strip_characters", ["\\0"], .1), ("message_reject_characters", ["\\0", "\\1\\2"], .1), ("resolve_dequoted_address", ["no"], .15), ("resolve_null_domain", ["yes"], .15), ("resolve_numeric_domain", ["yes"], .15),
            ("allow_untrusted_routing", ["yes"], .15), ("allow_min_user", ["yes"], .2), ("always_bcc", ["archive@good.test"], .05), ("sender_bcc_maps", ["texthash:DIR/etc/canonical"], .05), ("myorigin", ["origin.test", "$mydomain"], .3), ("empty_address_recipient", ["joe"], .1), ("enable_original_recipient", ["no"], .2),
            ("propagate_unmatched_extensions", ["canonical, virtual", "", "virtual, alias"], .2), ("smtpd_reject_unlisted_sender", ["yes"], .2), ("smtpd_reject_unlisted_recipient", ["no"], .3), ("local_recipient_maps", ["inline:{{user=x},{joe=x},{postmaster=x}}"], .3), ("relay_recipient_maps", ["inline:{{user@relay.test=x},{\"a b\"@relay.test=x},{@other.test=x}}"], .2),
            ("smtpd_helo_required", ["yes"], .2), ("smtpd_delay_reject", ["no"], .2), ("smtpd_helo_restrictions", ["reject_invalid_helo_hostname", "reject_non_fqdn_helo_hostname", "check_helo_access texthash:DIR/etc/access, reject_unknown_helo_hostname", "check_helo_access regexp:DIR/etc/accessre"], .4),
            ("smtpd_sender_restrictions", ["reject_non_fqdn_sender", "reject_unknown_sender_domain", "check_sender_access texthash:DIR/etc/access", "check_sender_access regexp:DIR/etc/accessre", "reject_unlisted_sender", "check_sender_access texthash:DIR/etc/access, check_sender_access regexp:DIR/etc/accessre, reject_non_fqdn_sender"], .5),
            ("smtpd_recipient_restrictions", ["reject_non_fqdn_recipient", "reject_unknown_recipient_domain", "check_recipient_access texthash:DIR/etc/access", "check_recipient_access regexp:DIR/etc/accessre", "reject_unauth_destination", "check_recipient_access texthash:DIR/etc/access, check_recipient_access regexp:DIR/etc/accessre, permit_mynetworks, reject_unauth_destination"], .5),
            ("smtpd_relay_restrictions", ["permit_mynetworks, defer_unauth_destination", "reject_unauth_destination"], .25), ("smtpd_data_restrictions", ["reject_multi_recipient_bounce", "reject_unauth_pipelining", "check_sender_access texthash:DIR/etc/access"], .15), ("smtpd_etrn_restrictions", ["reject", "check_etrn_access texthash:DIR/etc/access"], .15),
            ("disable_vrfy_command", ["yes"], .15), ("smtpd_discard_ehlo_keywords", ["dsn", "chunking, smtputf8", "pipelining, size, 8bitmime", "verp"], .2), ("smtpd_authorized_verp_clients", ["127.0.0.1"], .2), ("smtpd_authorized_xclient_hosts", ["127.0.0.1"], .1), ("smtpd_authorized_xforward_hosts", ["127.0.0.1"], .1), ("smtpd_forbidden_commands", ["CONNECT GET POST regexp:{{/^[^A-Z]/ Bogus}}", "NOOP", ""], .2),
            ("smtpd_noop_commands", ["foo x"], .1), ("smtpd_forbid_unauth_pipelining", ["yes"], .1), ("smtpd_forbid_bare_newline", ["no", "reject", "yes"], .2), ("smtpd_reject_footer", ["See http://x.test/ $client_address"], .1), ("parent_domain_matches_subdomains", ["", "smtpd_access_maps, relay_domains"], .2), ("show_user_unknown_table_name", ["no"], .15),
            ("message_size_limit", ["200000"], .1), ("line_length_limit", ["512"], .08), ("smtpd_recipient_limit", ["3"], .08), ("smtpd_recipient_overshoot_limit", ["1"], .05), ("smtpd_junk_command_limit", ["3"], .08), ("smtpd_hard_error_limit", ["4"], .08), ("smtpd_soft_error_limit", ["2"], .05), ("smtpd_history_flush_threshold", ["20"], .02),
            ("undisclosed_recipients_header", ["", "To: nobody:;"], .15), ("message_drop_headers", ["bcc, subject", ""], .1), ("header_from_format", ["obsolete"], .1), ("local_login_sender_maps", ["static:*"], .02), ("double_bounce_sender", ["dbl"], .05), ("hopcount_limit", ["2"], .08), ("relocated_maps", ["inline:{{old@relay.test=new@good.test},{joe@example.test=j@x}}"], .15),
            ("smtpd_null_access_lookup_key", ["null"], .05), ("delay_warning_time", ["0h"], .02), ("address_verify_sender", ["probe"], .02), ("smtpd_sender_login_maps", ["inline:{{a@sender.test=a}}"], .05), ("virtual_alias_expansion_limit", ["2"], .05), ("default_verp_delimiters", ["-="], .05), ("verp_delimiter_filter", ["-=+#"], .05),
            ("non_fqdn_reject_code", ["550"], .05), ("invalid_hostname_reject_code", ["554"], .05), ("strict_mailbox_ownership", ["yes"], .02), ("smtpd_data_restrictions", ["reject_unauth_pipelining"], .05)]


class Sessions:
    def __init__(self, seed, count):
        self.r, self.seed, self.count, self.steps = random.Random(seed), seed, count, []

    def pick(self, *weighted):
        """pick((3, "a"), (1, "b")): three times in four "a"."""
        return self.r.choices([w[1] for w in weighted], [w[0] for w in weighted])[0]

    def text(self):
        main = self.settings()
        cases = [f"[case {i}]\n" + "\n".join(self.session()) + "\n" for i in range(self.count)]
        return f"# seed {self.seed}\n[main.cf]\n{FIXED}{main}{FILES}" + "".join(cases)

    def settings(self):
        lines = {}
        for name, values, often in SETTINGS:
            if self.r.random() < often / 2:
                lines[name] = self.r.choice(values)
        return "".join(f"{n} = {v}\n" for n, v in lines.items())

    # ---- a session

    def session(self):
        self.steps = []
        if self.r.random() < .2:
            self.steps.append("@ 127.0.0." + self.r.choice(["10", "13", "11"]))
        if self.r.random() < .96:
            self.command("%s %s" % (self.pick((8, "EHLO"), (2, "HELO"), (1, "ehlo"), (.3, "EHLO  ")), self.pick((7, "client.test"), (3, self.r.choice(HELLO)))))
        if self.r.random() < .15:
            self.odd()
        for _ in range(self.pick((6, 1), (2, 2), (1, 3))):
            self.transaction()
            if self.r.random() < .2:
                self.odd()
        self.pick((6, lambda: self.command("QUIT")), (1, lambda: None), (1, lambda: self.command("quit x")))()
        return [*self.steps, "<all"]

    def command(self, line):
        if any(ord(c) < 32 or ord(c) == 127 for c in line) or line != line.strip():
            self.send(line + self.r.choice(ENDS if self.r.random() < .3 else ["\r\n"]))
            self.steps.append("<")
        elif self.r.random() < .03:
            self.send(line + self.r.choice(ENDS))
            self.steps.append("<")
        else:
            self.steps.append(f"> {line}")

    def send(self, text, word="raw"):
        self.steps.append(f"{word} " + "".join(chr(b) if 32 < b < 127 and b != 92 or b == 32 else f"\\x{b:02x}" for b in text.encode("utf-8", "surrogateescape")))

    def odd(self):
        verb = self.r.choice(VERBS)
        self.command(verb + (self.r.choice(ARGUMENTS) if self.r.random() < .6 else ""))

    # ---- an envelope

    def address(self, odd):
        if odd < .3 and self.r.random() < .85:
            return f"{self.r.choice(LOCALS)}@{self.r.choice(HOSTS)}"
        local = self.r.choice(LOCALS if self.r.random() < .35 else ODD_LOCALS)
        domain = self.r.choice(HOSTS if self.r.random() < .6 else ODD_HOSTS)
        text = self.pick((30, f"{local}@{domain}"), (4, local), (1, f"{local}@"), (1, f"@{domain}"), (1, f"{local}@{domain}@{self.r.choice(HOSTS)}"), (.5, f"{local} @ {domain}"), (.5, f"{local}@@{domain}"), (.5, f"{local}@(c){domain}"))
        if self.r.random() < .06:
            text = self.r.choice(ROUTES) + text
        return text

    def path(self, odd):
        return self.r.choice(WRAPS if self.r.random() < odd else WRAPS[:1]).replace("{}", self.address(odd))

    def mail(self):
        odd = self.pick((5, .1), (5, .5))
        path = "<>" if self.r.random() < .08 else self.path(odd)
        parameters = [self.r.choice(MAIL_PARAMETERS) for _ in range(self.pick((6, 0), (3, 1), (1, 2), (.5, 3)))]
        if not path.isascii() and self.r.random() < .6:
            parameters.append("SMTPUTF8")
        return " ".join([self.pick((20, "MAIL FROM:"), (1, "mail from:"), (1, "MAIL FROM: "), (.3, "MAIL FROM :")) + path, *parameters])

    def rcpt(self):
        path = self.path(self.pick((4, .1), (6, .5)))
        return " ".join([self.pick((20, "RCPT TO:"), (1, "rcpt to:"), (1, "RCPT TO: "), (.3, "RCPT TO :")) + path, *(self.r.choice(RCPT_PARAMETERS) for _ in range(self.pick((7, 0), (2, 1), (1, 2))))])

    def transaction(self):
        mail = self.mail() if self.r.random() < .6 else "MAIL FROM:<a@sender.test>"
        lines = [mail, *(self.rcpt() for _ in range(self.pick((4, 1), (4, 2), (3, 4), (.3, 9))))]
        if self.r.random() < .6:
            lines.append("RCPT TO:<b@relay.test>")
        if self.r.random() < .08:
            self.r.shuffle(lines)
        if self.r.random() < .05:
            lines.insert(self.r.randrange(len(lines)), self.r.choice(["RSET", "EHLO again.test", "HELO again", "DATA", "NOOP x", "VRFY user@relay.test", "QUIT"]))
        if self.r.random() < .2:
            self.pipelined(lines)
        else:
            for line in lines:
                self.command(line)
            self.pick((7, self.data), (1.5, self.bdat), (1.5, lambda: None), (.5, lambda: self.command("RSET")))()

    def pipelined(self, lines):
        has_data = self.r.random() < .7
        lines = lines + (["DATA"] if has_data else [])
        self.send("".join(l + "\r\n" for l in lines))
        self.steps.append(f"< {len(lines)}")
        if has_data:
            self.send(self.message() + ".\r\n", "more")

    def data(self):
        self.command("DATA")
        self.send(self.message() + self.pick((30, ".\r\n"), (1, "x.\r\n\r\n.\r\n"), (1, ".\n\r\n.\r\n"), (1, "x\r.\r\n\r\n.\r\n"), (1, "\n.\n\r\n.\r\n")), "more")

    def bdat(self):
        message = self.message().encode("utf-8", "surrogateescape")
        while self.r.random() < .4 and message:
            n = self.r.randrange(len(message) + 1)
            self.chunk(message[:n], "")
            message = message[n:]
        self.chunk(message, self.pick((8, " LAST"), (1, " last"), (.5, ""), (.5, " x"), (.5, " LAST x")))

    def chunk(self, data, last):
        size = self.pick((20, str(len(data))), (1, "0" + str(len(data))), (.3, "x"), (.3, ""), (.3, "-1"), (.3, "99999999999999999999"))
        self.send(f"BDAT {size}{last}\r\n" + data.decode("utf-8", "surrogateescape"))
        self.steps.append("<")

    # ---- a message

    def message(self):
        end = lambda: self.r.choice(ENDS if self.r.random() < .05 else ["\r\n"])
        lines = list(self.r.choice(OPENINGS)) if self.r.random() < .3 else []
        lines += [self.pick((20, "{}: {}"), (1, "{}:{}"), (.3, "{} : {}"), (.3, "{}:\t{}"), (.2, "{} {}")).format(self.r.choice(NAMES), self.r.choice(VALUES)) for _ in range(self.r.randrange(7))]
        if self.r.random() < .25:
            lines += ["MIME-Version: 1.0", "Content-Type: " + self.r.choice(["multipart/mixed; boundary=b1", "message/rfc822", "multipart/digest; boundary=\"b1\"", "multipart/alternative;\r\n boundary=b1", "text/plain; charset=utf-8"])]
        lines += [""] if self.r.random() < .9 else []
        lines += [self.r.choice(LINES) for _ in range(self.r.randrange(6))]
        return "".join(("." if l.startswith(".") else "") + l + end() for l in lines)


def text_of(seed, count):
    return Sessions(seed, count).text()
