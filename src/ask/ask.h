#ifndef ASK_ASK_H
#define ASK_ASK_H
#include "base/arena.h"
#include "base/base.h"
#include "base/buf.h"

/* Ask and rerun. A decision is a straight-line function of its input and the answers so
 * far. ask_get() returns an answer that is known, or obtains it on the spot when `now`
 * can (tables in memory), or notes the question and returns RC_MORE: the decision returns
 * RC_MORE too, the shell fetches the answer, hands it in with ask_answer(), and calls the
 * decision again from the top.
 *
 * A decision has no side effect before its last answer. The same question always gets the
 * same answer within one struct ask, so running again takes the same way. */

enum ask_kind {
	ASK_MAP, /* source: "type:name" of a table */
	/* source: record type, "A" "AAAA" "MX" "NS" "TXT" "PTR" …; key: the name. RC_OK:
	 * one record a line, at most 100: "192.0.2.1", "10 mx.example", "0 ." for
	 * RFC 7505's null MX, "ns.example"; CNAMEs were followed. RC_OK without any: the
	 * answer, or the name, is not usable (malformed); asking again will not help.
	 * RC_NONE: no such name, or nothing of this type; RC_TEMP: could not find out.
	 * Source "HOST": addresses of a host, from the hosts file, too, of the protocols
	 * that are on. */
	ASK_DNS,
	/* source: the service as it stands in check_policy_service,
	 * "inet:127.0.0.1:10031" or "{ unix:private/policy, timeout = 10s }"; key: the
	 * whole request with its empty last line. RC_OK: what stands behind `action=`,
	 * which is the default action when the service could not be asked. Never RC_NONE.
	 */
	ASK_POLICY,
	/* source: "sender" or "recipient"; key: the address, external form. RC_OK:
	 * "STATUS DSN TEXT"; STATUS 0: deliverable, 1: deferred, 2: undeliverable, 3: the
	 * probe is still under way. RC_TEMP: the verification service has trouble. */
	ASK_VERIFY,
	/* key: seconds; RC_OK and an empty value when they are over. */
	ASK_DELAY,
};

enum ask_flag {
	/* The key was derived from another (parent domain, without extension …). Tables
	 * of patterns answer RC_NONE to these. */
	ASK_PARTIAL = 1,
	/* Do not fold the key's case, whatever the table's type. */
	ASK_NOFOLD = 2,
	/* The answer becomes a command, a file or a way for mail: rules that put text of
	 * the key into it do not count. */
	ASK_NO_SUBST = 4,
	/* And tables that others could forge are refused. */
	ASK_PARANOID = 8,
};
/* In the flags: the same question once more, because the answer may be another by now
 * (`n` up to 1000). */
#define ASK_AGAIN(n) ((unsigned)(n) << 8)

struct ask_question {
	enum ask_kind kind;
	unsigned flags;
	struct str source, key;
};

struct ask_answer {
	struct ask_question q;
	enum rc rc;       /* RC_OK, RC_NONE: no such thing, RC_TEMP: could not find out */
	struct str value; /* RC_TEMP: what the trouble is, for the log */
};

/* Answers a question at once, the value in `mem`. RC_MORE: it has to be fetched. */
typedef enum rc ask_now_fn(
    void *ctx, const struct ask_question *q, struct arena *mem, struct str *out_value);

/* One decision in progress; lives in the caller's hands, everything inside in `mem`. */
struct ask {
	struct arena *mem;
	ask_now_fn *now; /* NULL: everything is fetched */
	void *now_ctx;
	struct ask_answer *known;
	unsigned n_known, cap, max;
	struct ask_question wanted; /* set when a decision returns RC_MORE */
	bool has_wanted;
};

/* At most `max` questions (0: 1000); one more is answered RC_TEMP, so that no input makes
 * a decision run forever. */
void ask_init(struct ask *a, struct arena *mem, unsigned max);
/* Forgets all answers and starts anew in a (reset) arena; keeps `now` and `max`. */
void ask_reset(struct ask *a, struct arena *mem);
/* What was asked so far counts no more: another decision begins. Values that were given
 * out stay. Not for one that is run again from the top. */
void ask_forget(struct ask *a);

/* Memory:  the value lives in a->mem.
 * Returns: RC_OK, RC_NONE, RC_TEMP: the answer; RC_MORE: not known yet: return it at
 * once. An empty key is never looked up: RC_NONE. RC_PERM does not come out of here. */
MUST_USE enum rc ask_get(struct ask *a, const struct ask_question *q, struct str *out);
MUST_USE enum rc ask_map(
    struct ask *a, struct str table, struct str key, unsigned flags, struct str *out);
/* `type` must be a string that lives on ("MX"). */
MUST_USE enum rc ask_dns(
    struct ask *a, const char *type, struct str name, struct str *out);
/* The words that came with its answer when that was not RC_OK ("Host not found"). */
struct str ask_dns_words(const struct ask *a, const char *type, struct str name);
/* Asks the tables one after the other until one knows the key. */
struct ask_tables {
	const struct str *v;
	unsigned n;
	unsigned flags; /* go with every question to them */
};
MUST_USE enum rc ask_tables(struct ask *a, const struct ask_tables *t, struct str key,
    unsigned flags, struct str *out);
/* Takes the next element of a list separated by blanks and commas, {…} kept whole, off
 * *rest. RC_NONE: nothing left; RC_PERM: unbalanced braces. */
MUST_USE enum rc ask_token(struct str *rest, struct str *out);
/* Splits "hash:/a, texthash:/b inline:{…}" into names; RC_PERM: unbalanced braces.
 * Memory: the array in `mem`, the names are views of `text`. */
MUST_USE enum rc ask_tables_parse(
    struct str text, struct arena *mem, struct ask_tables *out, struct err *e);

/* The answer to a->wanted; value is copied. RC_PERM counts as RC_TEMP (our own trouble).
 */
void ask_answer(struct ask *a, enum rc rc, struct str value);
/* What the last RC_TEMP answer was about: "table:key: reason"; empty if there was none.
 */
struct str ask_trouble(const struct ask *a, struct arena *mem);
/* The transcript, one line per question: `map hash:/x key = value`, a request to a policy
 * service shortened to its first line. For `explain`. */
MUST_USE enum rc ask_explain(const struct ask *a, struct buf *to);
#endif
