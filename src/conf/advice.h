#ifndef CONF_ADVICE_H
#define CONF_ADVICE_H
/* What an administrator should hear about a configuration that loads: settings that do
 * nothing here yet, names that nobody knows, networks that are none. conf_advise() says
 * it to a callback, conf_warn() to a log (master's, the terminal of `postfix check`). */
#include "base/base.h"

struct conf_snapshot;
struct log;

enum conf_advice_kind {
	CONF_ADVICE_NOT_YET, /* set, to another value than the default, and not built */
	CONF_ADVICE_UNKNOWN, /* no such parameter, and nothing refers to it */
	CONF_ADVICE_NO_TRANSPORT, /* of a transport that master.cf does not have */
	CONF_ADVICE_BAD_NETWORK,  /* a list names one that is none: it fits nobody */
};

struct conf_advice {
	enum conf_advice_kind kind;
	struct str path; /* main.cf or master.cf, with its folder */
	unsigned line;
	struct str
	    service; /* empty: main.cf; else the service with the -o, "smtp/inet" */
	struct str name, value; /* as set: the value is not expanded */
	struct str hint; /* not yet: what it waits for; unknown: the nearest name, both
			    may be empty; no transport: its name; bad network: why */
};

#define CONF_ADVICE_TEXT_MAX 400

/* Calls `say` once per parameter of main.cf and per service and -o of master.cf, in the
 * order of the files' names. Silent about: a value that equals the default, or switches
 * off what is not there (conf_param.off); names that
 * another value refers to ($name); restriction classes; settings of old-style tables
 * (ldap:NAME reads NAME_server_host); derived names of transports.
 *
 * Memory:  what `say` is given is valid during the call. */
void conf_advise(const struct conf_snapshot *s,
    void (*say)(void *arg, const struct conf_advice *advice), void *arg);

/* All that a loaded configuration deserves, as warnings: what is set twice in main.cf or
 * stands twice in master.cf (the last counts), and conf_advise(). */
void conf_warn(const struct conf_snapshot *s, struct log *log);

/* The line for the log, without "warning: ":
 *   /etc/postfix/main.cf: line 7: NAME = VALUE: not built yet: WHAT IT WAITS FOR
 *   /etc/postfix/master.cf: line 9: smtp/inet: -o NAME=VALUE: not built yet: WHAT
 *   /etc/postfix/main.cf: line 7: NAME = VALUE: unknown parameter; did you mean NEAREST?
 *   /etc/postfix/main.cf: line 7: NAME = VALUE: there is no service slow/unix in
 * master.cf
 *   /etc/postfix/main.cf: line 7: mynetworks = 10.0.0.1/8: non-null host address bits …
 * Bytes that a terminal would obey become "?"; a long value is cut. */
void conf_advice_format(
    const struct conf_advice *advice, char out[static CONF_ADVICE_TEXT_MAX]);
#endif
