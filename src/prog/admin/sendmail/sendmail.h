#ifndef PROG_ADMIN_SENDMAIL_SENDMAIL_H
#define PROG_ADMIN_SENDMAIL_SENDMAIL_H
/* What the files of this command share. */
#include "agent/command.h"
#include "base/buf.h"
#include <sys/types.h>

enum { MAIL_NAME_MAX = 64 };

struct options {
	const char *config_dir; /* -C */
	const char *sender, *full_name, *envid, *notify, *ret, *body_type;
	const char *verp;      /* -XV: two delimiters, or "" for the usual ones */
	unsigned verbose;      /* -v: once asks for a report */
	bool only_verifies;    /* -bv */
	bool smtputf8;         /* -O smtputf8=yes */
	bool dot_is_data;      /* -i */
	bool wants_extraction; /* -t */
	bool is_gateway;       /* -G */
	char **rcpts;          /* of the command line */
	size_t n_rcpts;
};

/* The message on its way to postdrop. */
struct mail {
	struct command *c;
	const struct options *o;
	pid_t postdrop;
	int fd;     /* postdrop's standard input */
	int report; /* its standard output */
	struct buf out;
	bool is_lost;             /* postdrop stopped reading; its report says why */
	char name[MAIL_NAME_MAX]; /* of the file in the maildrop */
};

/* ---- drop.c ---- */
/* Starts postdrop, which is where we are, and waits until it has a file.
 * Returns: RC_TEMP: it has not; e has its words. */
MUST_USE enum rc mail_open(struct mail *m, struct err *e);
/* All is written: RC_OK the message is on stable storage; else e has postdrop's words,
 * and e->sys its exit status. */
MUST_USE enum rc mail_close(struct mail *m, struct err *e);
/* Forgets the message. */
void mail_abort(struct mail *m);
/* Everything ends here, as "sendmail: fatal: user(uid): text" and exit status 75. */
_Noreturn void mail_fatal(const struct mail *m, const char *text) __attribute__((cold));
/* Of -f, or who calls. */
const char *mail_sender(const struct mail *m);
/* One record; sent when enough has gathered. */
void mail_put(struct mail *m, char type, struct str text);
void mail_flush(struct mail *m);

/* ---- envelope.c ---- */
/* Sender, name, DSN wishes and the recipients of the command line; with -t those of
 * `header` instead: the message up to its first empty line. */
void envelope_write(struct mail *m, struct str header);

/* ---- content.c ---- */
/* Standard input to its end, or to a line with a dot alone. Calls envelope_write() when
 * the recipients are known. */
void content_copy(struct mail *m);

/* ---- smtp.c ---- */
/* -bs: an SMTP session on standard input and output. Returns: the exit status. */
int smtp_serve(struct command *c, const struct options *o);
#endif
