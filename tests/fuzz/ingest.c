/* Any bytes as a message on its way in: headers, parts, checks and mappings whose answers
 * come late, fail or make no sense, and the envelope, with a queue and a lookup that are
 * played here. The same message goes in twice, once in one piece with answers at once,
 * once in pieces with answers that keep it waiting: what is put is the same but for its
 * name and the time, every line ends in CRLF, and each message ends exactly once. Answers
 * follow from the question.
 *
 * Input: four bytes (who sends; what is odd; size of pieces; patience), then the sender,
 * recipients, an empty line, the content. */
#include "agent/decide.h"
#include "agent/ingest.h"
#include "agent/lookup_client.h"
#include "agent/testing.h"
#include "base/buf.h"
#include "conf/snapshot.h"
#include "ipc/channel.h"
#include "log/log.h"
#include "os/sock.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PUT_MAX = 32 << 20, RCPTS_MAX = 8, LATE_MAX = 64, ROUNDS_MAX = 200000 };

static const char plain[] =
    "compatibility_level = 3.6\n"
    "myhostname = mail.example.test\nmydomain = example.test\nmydestination =\n"
    "alias_maps =\nmessage_size_limit = 4000\nheader_size_limit = 300\n"
    "hopcount_limit = 5\nbody_checks_size_limit = 200\nmime_nesting_limit = 3\n"
    "virtual_alias_expansion_limit = 20\nvirtual_alias_recursion_limit = 6\n"
    "masquerade_domains = example.test\nrecipient_delimiter = +\n"
    "header_checks = tcp:h:1\nbody_checks = tcp:h:1\ncanonical_maps = tcp:h:2\n"
    "virtual_alias_maps = tcp:h:2\nsender_bcc_maps = tcp:h:2\n"
    "recipient_bcc_maps = tcp:h:2\nalways_bcc = all\n";
static const char strict[] =
    "remote_header_rewrite_domain = remote.test\nstrict_8bitmime = yes\n"
    "strict_mime_encoding_domain = yes\nmessage_reject_characters = \\1\n"
    "message_strip_characters = \\0\nalways_add_missing_headers = yes\n"
    "non_empty_end_of_header_action = add_header\n";

struct late {
	uint32_t request;
	enum rc rc;
	const char *value;
	unsigned rounds;
};

/* The rest of the server: made once. */
struct world {
	struct testing_queue queue;
	struct arena *mem;
	struct lookup_client *lookup;
	struct decide *decide[2];
	struct ingest_conf conf[2];
	struct ipc_channel *tables;
	unsigned patience;
	bool fails;
	struct late late[LATE_MAX];
	size_t n_late;
};

/* One run of a message. */
struct run {
	struct world *w;
	struct ingest *in;
	unsigned n_done, n_room;
	enum rc rc;
	char text[300];
};

/* ---- tables ---- */

static const char *const actions[] = { "REJECT", "REJECT 4.7.1 later", "HOLD", "DISCARD",
	"FILTER x:y", "REDIRECT r@x.test", "BCC c@x.test", "PREPEND X-New: 1",
	"REPLACE Subject: .\n folded", "IGNORE", "STRIP", "PASS", "WARN words",
	"PREPEND no header", "nonsense", "BCC nobody", "REPLACE To: a (b) <c@d>, e" };
static const char *const addresses[] = { "a@x.test", "a@x.test, b@x.test", "<>", "",
	"\"q r\"@x.test", "c", "@x.test", "d+e@example.test", "loop@x.test",
	"a@[1.2.3.4]", "(", "very@odd@x.test", "f@x.test, f@x.test, g" };

/* Without what the message's name and the time are made of. */
static uint32_t
sum_of(struct str s)
{
	uint32_t sum = 2166136261U;

	for (size_t i = 0; i < s.n; i++)
		if ((s.p[i] < '0' || s.p[i] > '9') && (s.p[i] < 'A' || s.p[i] > 'F'))
			sum = (sum ^ (unsigned char)s.p[i]) * 16777619U;
	return sum ^ sum >> 15;
}

static void
answer(struct world *w, const struct late *l)
{
	ipc_send_found(w->tables,
	    &(struct wire_found){
		.request = l->request, .rc = (uint8_t)l->rc, .value = str_c(l->value) });
}

static void
on_find(void *arg, const struct wire_find *m)
{
	struct world *w = arg;
	uint32_t sum = sum_of(m->key);
	bool is_check = str_is(m->table, "tcp:h:1");
	struct late l = { .request = m->request, .rc = RC_NONE, .value = "" };

	if (w->fails && sum % 29 == 0) {
		l.rc = RC_TEMP;
		l.value = "trouble";
	} else if (sum % (is_check ? 5 : 3) == 0) {
		l.rc = RC_OK;
		l.value = is_check ? actions[sum / 16 % ARRAY_LEN(actions)]
				   : addresses[sum / 16 % ARRAY_LEN(addresses)];
	}
	l.rounds = w->patience > 0 ? sum % w->patience : 0;
	if (l.rounds == 0 || w->n_late == LATE_MAX)
		answer(w, &l);
	else
		w->late[w->n_late++] = l;
}

static void
answer_late(struct world *w)
{
	size_t kept = 0;

	for (size_t i = 0; i < w->n_late; i++) {
		if (--w->late[i].rounds == 0)
			answer(w, &w->late[i]);
		else
			w->late[kept++] = w->late[i];
	}
	w->n_late = kept;
}

/* ---- the world ---- */

static void
on_close(void *arg, const char *why)
{
	(void)arg;
	(void)fprintf(stderr, "channel closed: %s\n", why);
	abort();
}

static void
connect_tables(struct world *w)
{
	static const struct ipc_handlers on = { .on_find = on_find };
	const struct ipc_channel_conf c = { .me = WIRE_LOOKUP,
		.peer = WIRE_ASKER,
		.on = &on,
		.on_close = on_close,
		.arg = w };
	int fds[2];

	assert(os_sock_pair(fds, NULL) == RC_OK);
	w->tables = ipc_channel_new(w->queue.loop, fds[0], &c);
	lookup_client_connect(w->lookup, fds[1]);
}

static void
configure(struct world *w, unsigned i)
{
	static const struct conf_host host = { .name = STR_INIT("mail.example.test"),
		.addresses = STR_INIT("192.0.2.1/24 127.0.0.1/8") };
	const struct decide_sources sources = { .loop = w->queue.loop,
		.lookup = w->lookup };
	struct decide_request how = { .log = w->queue.log };
	struct ingest_conf_request req = { .log = w->queue.log };
	struct str text = arena_printf(w->mem, "%s%s", plain, i == 0 ? "" : strict);
	struct err e = { 0 };
	enum rc rc = conf_from_text(text, STR(""), &host, w->mem, &req.snapshot, &e);

	how.snapshot = req.snapshot;
	if (rc == RC_OK)
		rc = decide_new(&how, &w->decide[i], &e);
	req.decide = w->decide[i];
	if (rc == RC_OK)
		rc = ingest_conf_load(&req, w->mem, &w->conf[i], &e);
	if (rc != RC_OK) {
		(void)fprintf(stderr, "%s\n", e.text);
		abort();
	}
	decide_use(w->decide[i], &sources);
}

static void
pump(struct world *w)
{
	loop_round(w->queue.loop, 0);
	assert(!w->queue.is_closed);
	answer_late(w);
}

static struct world *
the_world(void)
{
	static struct world *w;
	struct lookup_client_conf c = { .timeout_us = 100 * US_PER_SEC };

	if (w != NULL)
		return w;
	w = mem_get(sizeof(*w));
	w->mem = arena_new((size_t)64 << 20);
	testing_queue_init(&w->queue);
	testing_queue_connect(&w->queue, 1 << 28); /* names of one length */
	c.loop = w->queue.loop;
	c.log = w->queue.log;
	w->lookup = lookup_client_new(&c);
	connect_tables(w);
	configure(w, 0);
	configure(w, 1);
	return w;
}

/* ---- one message ---- */

static void
check_content(struct str s)
{
	assert(s.n == 0 || str_ends(s, STR("\r\n")));
	for (size_t i = 0; i < s.n; i++) {
		assert(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
		assert(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
	}
}

static void
on_room(void *arg)
{
	((struct run *)arg)->n_room++;
}

static void
on_done(void *arg, enum rc rc, struct str text)
{
	struct run *r = arg;

	r->n_done++;
	r->rc = rc;
	assert(rc == RC_OK || rc == RC_TEMP || rc == RC_PERM);
	assert(rc == RC_OK || text.n > 0);
	(void)snprintf(r->text, sizeof(r->text), "%.*s", STR_ARG(text));
}

struct message {
	struct ingest_client client;
	struct ingest_envelope env;
	struct ingest_rcpt rcpts[RCPTS_MAX];
	struct str content;
	const struct ingest_conf *conf;
	size_t leaves_after; /* pieces; 0: never */
};

static const struct str prepended[] = { STR_INIT("X-Ours: 1"),
	STR_INIT("Received: by nobody") };

/* One address. Those who take mail in refuse control characters in them. */
static struct str
line_of(struct str *in)
{
	size_t n = str_find(*in, '\n');
	struct str line = str_head(*in, n < 300 ? n : 300);

	*in = str_from(*in, n < in->n ? n + 1 : n);
	for (size_t i = 0; i < line.n; i++)
		if ((unsigned char)line.p[i] < ' ' || line.p[i] == 127)
			return str_head(line, i);
	return line;
}

static void
read_message(struct world *w, const uint8_t *data, size_t size, struct message *m)
{
	struct str in = str_n(data + 4, size - 4), line;
	bool is_local = (data[0] & 1) != 0;

	*m = (struct message){ .client = { .origin = STR("smtpd"),
				   .name = STR("unknown"),
				   .addr = STR("192.0.2.1"),
				   .proto = STR("ESMTP"),
				   .helo = STR("h"),
				   .via = is_local ? MIME_VIA_LOCAL : MIME_VIA_SMTP,
				   .is_local = is_local,
				   .is_returned = (data[0] & 2) != 0,
				   .is_smtputf8 = (data[0] & 4) != 0,
				   .no_received = (data[0] & 8) != 0 } };
	if (data[0] & 16) {
		m->client.prepend = prepended;
		m->client.n_prepend = 2;
	}
	m->conf = &w->conf[data[1] & 1];
	m->env.smtputf8 = m->client.is_smtputf8;
	m->env.is_probe = (data[1] & 2) != 0;
	m->env.hold = (data[1] & 4) != 0;
	m->env.redirect = (data[1] & 8) != 0 ? STR("re@x.test") : STR("");
	m->leaves_after = data[1] & 16 ? 1 + (data[1] >> 5) : 0;
	m->env.sender = m->client.sender = line_of(&in);
	while (m->env.n_rcpts < RCPTS_MAX && (line = line_of(&in)).n > 0)
		m->rcpts[m->env.n_rcpts++] =
		    (struct ingest_rcpt){ .address = line, .notify = line.n % 8 };
	if (m->env.n_rcpts == 0)
		m->rcpts[m->env.n_rcpts++].address = STR("u@x.test");
	m->env.rcpts = m->rcpts;
	m->client.recipient = m->rcpts[0].address;
	m->content = in;
}

/* False: it failed, or was given up. */
static bool
feed(struct run *r, struct str in, size_t step, size_t leaves_after)
{
	for (size_t n = 1; in.n > 0; n++) {
		struct str piece = str_head(in, step);
		enum rc rc;

		in = str_from(in, step);
		r->n_room = 0;
		rc = ingest_content(r->in, piece, NULL);
		if (n == leaves_after)
			return false;
		for (unsigned i = 0; rc == RC_MORE && r->n_room == 0; i++) {
			assert(i < ROUNDS_MAX);
			pump(r->w);
		}
		assert(r->n_done == 0);
		if (rc != RC_OK && rc != RC_MORE)
			return true;
	}
	return true;
}

static void
run(struct run *r, const struct message *m, size_t step, size_t leaves_after)
{
	struct world *w = r->w;

	w->queue.n_puts = 0;
	while (ingest_new(w->queue.submit, w->queue.loop, m->conf, &r->in, NULL) != RC_OK)
		pump(w);
	ingest_on_room(r->in, on_room, r);
	ingest_begin(r->in, &m->client, m->rcpts[0].address);
	ingest_envelope(r->in, &m->env);
	if (feed(r, m->content, step, leaves_after)) {
		ingest_commit(r->in, &m->env, on_done, r);
		assert(r->n_done == 0);
		for (unsigned i = 0; r->n_done == 0; i++) {
			assert(i < ROUNDS_MAX);
			pump(w);
		}
	}
}

static void
leave(struct run *r)
{
	ingest_free(&r->in);
	for (unsigned i = 0; i < 4 || r->w->n_late > 0; i++)
		pump(r->w);
	assert(r->n_done <= 1);
}

/* What was put, without its name and the time, which are not the message's. */
static void
take_put(struct world *w, struct str qid, struct buf *out)
{
	char *p;
	enum rc rc = buf_put(out, buf_view(&w->queue.said));

	check_content(buf_view(&w->queue.content));
	if (rc == RC_OK)
		rc = buf_put(out, STR("\n"));
	if (rc == RC_OK)
		rc = buf_put(out, buf_view(&w->queue.content));
	assert(rc == RC_OK);
	p = out->p + out->start;
	for (size_t i = 0; i + qid.n <= out->n; i++)
		if (memcmp(p + i, qid.p, qid.n) == 0)
			memset(p + i, '#', qid.n);
	for (size_t i = 0; i < out->n; i++)
		if (p[i] >= '0' && p[i] <= '9')
			p[i] = '0';
}

static void
same(struct str a, struct str b)
{
	if (str_eq(a, b))
		return;
	(void)fprintf(
	    stderr, "--- at once\n%.*s\n--- late\n%.*s\n", STR_ARG(a), STR_ARG(b));
	abort();
}

/* The run with answers at once (a) and the one with late ones (b): whose puts are alike.
 */
static void
compare(const struct message *m, const struct run *a, size_t a_puts,
    const struct buf *first, struct run *b)
{
	size_t b_puts = b->w->queue.n_puts;
	struct buf second;

	assert(a_puts <= 1 && b_puts <= 1);
	assert(a_puts == 0 || a->rc == RC_OK);
	assert(!m->client.is_returned || a->rc != RC_PERM);
	/* Which of several failures is told may follow from when they were found, and so
	 * may whether a message that is thrown away had failed before. */
	if (b->n_done == 1 && a_puts == 1) {
		assert(b_puts == 1 && b->rc == RC_OK);
		buf_init(&second, PUT_MAX);
		take_put(b->w, ingest_qid(b->in), &second);
		same(buf_view(first), buf_view(&second));
		buf_fini(&second);
	} else if (b->n_done == 1) {
		/* Local mail that is to be returned needs no aliases: it may go back
		 * before their trouble is met, or be tried again after it. */
		assert(b_puts == 0 || (m->client.is_returned && a->rc == RC_TEMP));
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct world *w = the_world();
	struct run a = { .w = w }, b = { .w = w };
	struct message m;
	struct buf first;
	size_t n_puts;

	if (size < 4 || size > 20000)
		return 0;
	read_message(w, data, size, &m);
	w->fails = (data[0] & 32) != 0;
	buf_init(&first, PUT_MAX);
	w->patience = 0;
	run(&a, &m, size, 0);
	n_puts = w->queue.n_puts;
	if (n_puts > 0)
		take_put(w, ingest_qid(a.in), &first);
	leave(&a);
	w->patience = data[3] % 8;
	run(&b, &m, 1 + data[2], m.leaves_after);
	compare(&m, &a, n_puts, &first, &b);
	leave(&b);
	buf_fini(&first);
	return 0;
}
