#ifndef PROG_ADMIN_SENDMAIL_SENDMAIL_H
#define PROG_ADMIN_SENDMAIL_SENDMAIL_H
/* What the files of this command share. */
#include "agent/command.h"
#include "base/buf.h"

struct options {
	const char *sender, *full_name, *envid, *notify, *ret, *body_type;
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
	int fd; /* postdrop's standard input */
	struct buf out;
	bool is_lost; /* postdrop stopped reading; its exit status says why */
};

/* Everything ends here, as "sendmail: fatal: user(uid): text" and exit status 75. */
_Noreturn void mail_fatal(const struct mail *m, const char *text) __attribute__((cold));
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
#endif
