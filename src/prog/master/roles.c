/* The roles: who exists, how many of each. */
#include "prog/master/master.h"
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "agent/lookup_tables.h"
#include "base/arena.h"
#include "log/log.h"

static const struct {
	const char *name;
	bool is_doubled;
	unsigned most; /* processes; 0: one a processor */
} table[ROLES] = {
	[ROLE_QUEUE] = { "queue", false, 1 },
	[ROLE_SMTPD] = { "smtpd", true, 0 },
	[ROLE_SMTP] = { "smtp", true, 4 },
	[ROLE_VIRTUAL] = { "virtual", true, 1 },
	[ROLE_PICKUP] = { "pickup", true, 1 },
	[ROLE_BOUNCE] = { "bounce", true, 1 },
	[ROLE_LOOKUP] = { "lookup", true, 1 },
	/* A reload forgives nobody. */
	[ROLE_ANVIL] = { "anvil", false, 1 },
};

static unsigned
processors(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) != 0)
		return 1;
	n = CPU_COUNT(&set);
	return n < 1 ? 1 : n > ROLE_WORKERS_MAX ? ROLE_WORKERS_MAX : (unsigned)n;
}

void
roles_init(struct master *m)
{
	for (size_t i = 0; i < ROLES; i++) {
		m->roles[i].name = table[i].name;
		m->roles[i].is_doubled = table[i].is_doubled;
	}
}

struct role *
role_find(struct master *m, const char *name)
{
	for (size_t i = 0; i < ROLES; i++)
		if (strcmp(m->roles[i].name, name) == 0)
			return &m->roles[i];
	return NULL;
}

/* Its service stands in every master.cf; few configurations have tables for it. */
static bool
is_lookup_wanted(const struct master *m)
{
	struct arena *mem = arena_new(MASTER_ARENA_MAX);
	const struct lookup_tables *t = NULL;
	struct err e = { 0 };
	bool wanted = m->roles[ROLE_LOOKUP].is_needed;

	if (lookup_tables_make(m->config->snapshot, mem, &t, &e) != RC_OK)
		log_error(m->log, "lookup tables: %s", e.text);
	else
		wanted = wanted || lookup_tables_are_asked(t);
	arena_free(&mem);
	return wanted;
}

static bool
is_wanted(const struct master *m, size_t at)
{
	if (at == ROLE_QUEUE)
		return true;
	if (at == ROLE_LOOKUP)
		return is_lookup_wanted(m);
	if (at == ROLE_ANVIL)
		return m->roles[at].is_needed;
	for (size_t i = 0; i < m->config->snapshot->master.n; i++) {
		const char *name = config_role(m->config, i);

		if (name != NULL && strcmp(name, table[at].name) == 0)
			return true;
	}
	return false;
}

bool
role_has_program(const struct master *m, const char *name)
{
	char path[sizeof(m->libexec) + 32];

	(void)snprintf(path, sizeof(path), "%s/%s", m->libexec, name);
	return access(path, X_OK) == 0;
}

void
roles_plan(struct master *m)
{
	unsigned cpus = processors();

	for (size_t i = 0; i < ROLES; i++) {
		struct role *r = &m->roles[i];

		r->is_wanted = is_wanted(m, i);
		if (r->is_wanted && !role_has_program(m, r->name)) {
			log_error(m->log,
			    "cannot execute %s/%s: %m; its services are not offered",
			    m->libexec, r->name);
			r->is_wanted = false;
		}
		r->n = table[i].most != 0 && cpus > table[i].most ? table[i].most : cpus;
		if (!r->is_wanted)
			r->n = 0;
	}
	endpoints_watch(m);
}

void
roles_need(struct master *m, struct str name)
{
	struct role *r = &m->roles[ROLE_LOOKUP];

	if (str_is(name, m->roles[ROLE_ANVIL].name))
		r = &m->roles[ROLE_ANVIL];
	else if (!str_is(name, r->name))
		return;
	if (r->n > 0 || m->phase >= PHASE_STOPPING)
		return;
	r->is_needed = true;
	roles_plan(m);
	supervise_start(m);
}
