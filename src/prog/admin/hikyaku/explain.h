#ifndef PROG_ADMIN_HIKYAKU_EXPLAIN_H
#define PROG_ADMIN_HIKYAKU_EXPLAIN_H
/* What the files of this command share. */
#include "access/access.h"
#include "agent/command.h"
#include "agent/decide.h"
#include "agent/decide_mapping.h"
#include "net/client_name.h"
#include "prog/admin/hikyaku/case.h"
#include "route/mapping.h"

struct net_resolver;

enum { EXPLAIN_STAGES = 4 };

/* One recipient's way through the restrictions; everything lives in the run's memory and
 * is printed before that goes. */
struct verdict {
	struct access_verdict stage[EXPLAIN_STAGES]; /* client, helo, sender, recipient */
	unsigned n_stages;                           /* that ran */
	bool is_refused;                             /* by the last of them */
	struct mapping_rcpts expanded;
	struct route *routes; /* of expanded.v */
	struct str sender;    /* rewritten */
	struct str trouble;   /* rewriting or routing failed, with these words */
	bool skipped_policy, skipped_verify;
};

struct explain {
	struct command *c;
	const struct explain_case *q;
	const struct master_service *service;
	struct loop *loop;
	struct net_resolver *resolver;
	struct net_client_names *names;
	struct decide *decide;
	const struct decide_mapping *mapping;
	struct net_client_name name; /* of the client */
	bool is_delayed;             /* smtpd_delay_reject */
	/* The recipient in work. */
	const char *rcpt;
	struct verdict v;
	struct decide_run run;
};

/* ---- explain.c ---- */
/* Opens tables, finds the client's name; then decides and prints for each recipient.
 * Returns: the exit status: 0 all accepted, 1 one refused. Ends the program when the
 * configuration cannot be used. */
int explain_all(struct command *c, const struct explain_case *q);

/* ---- print.c ---- */
void print_client(const struct explain *x);
/* `rc`: what the run returned. */
void print_verdict(const struct explain *x, enum rc rc);
/* The restriction list of a stage. */
const char *print_list_name(enum access_stage stage);

/* ---- hints.c ---- */
/* What an administrator can do about a reject of this restriction; NULL: nothing that
 * fits every case. */
const char *hint_for(struct str restriction);
#endif
