#ifndef AGENT_COMMAND_H
#define AGENT_COMMAND_H
#include "base/arena.h"
#include "base/base.h"
#include "conf/snapshot.h"
#include "spool/spool.h"
#include "wire/messages.h"

/* What the queue commands have in common: configuration, words for people and for the
 * log, the queue process when it runs, the spool when it does not. */
struct ipc_channel;
struct log;
struct loop;

struct command {
	const char *name; /* "postqueue"; messages begin so */
	struct arena *mem;
	const struct conf_snapshot *snapshot;
	struct conf_cmd conf;
	struct log *log; /* NULL until the configuration is read */
	const char *queue_dir;
};

/* Reads the configuration of `config_dir` (-c), else of MAIL_CONFIG, else /etc/postfix; a
 * set-gid command accepts only what alternate_config_directories and
 * multi_instance_directories name, and forgets its environment. Ends the process with
 * status 1 and a message when it cannot. `name` may have folders in front, for messages.
 */
void command_init(struct command *c, const char *name, const char *config_dir);
/* On standard error as "name: text", and in the mail log. */
void command_say(struct command *c, const char *fmt, ...) PRINTF(2, 3);
void command_warn(struct command *c, const char *fmt, ...) PRINTF(2, 3);
_Noreturn void command_fatal(struct command *c, int status, const char *fmt, ...)
    PRINTF(3, 4);
/* Whether the caller may change the queue: root, or whoever owns it where all runs as one
 * user. */
bool command_may_administer(const struct command *c);
/* A stream socket below queue_directory. RC_NONE: nobody listens (e has errno). */
MUST_USE enum rc command_connect(
    const struct command *c, const char *endpoint, int *out_fd, struct err *e);

/* ---- the queue process: private/queue ---- */
struct queue_client {
	struct loop *loop;
	struct ipc_channel *ch;
	void (*item)(void *arg, struct str qid, struct str text);
	void *arg;
	bool is_done, is_lost;
	enum rc rc;
	uint64_t count;
	char text[400];
};
/* RC_NONE: it does not run. */
MUST_USE enum rc queue_client_open(
    struct queue_client *q, const struct command *c, struct err *e);
/* One request; items are handed over as they come. Afterwards q->rc, count, text are set.
 * RC_TEMP: the queue went away meanwhile. Blocks: until the answer is there. */
MUST_USE enum rc queue_client_ask(
    struct queue_client *q, const struct wire_admin *m, struct err *e);
void queue_client_close(struct queue_client *q);

/* ---- the spool itself, while the queue process does not run ---- */
/* RC_NONE: there is none yet. RC_TEMP: in use, or trouble. */
MUST_USE enum rc command_open_spool(
    const struct command *c, struct spool **out, struct err *e);
/* Whether `login` is on `list`, the value of authorized_*_users: names, "/files" of
 * names, tables, each perhaps behind "!". What cannot be read or asked ends
 * the program with `status`: a list that forbids must not let pass. */
bool command_user_is_listed(struct command *c, int status, const char *parameter,
    struct str list, struct str login);
#endif
