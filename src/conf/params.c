/* Owns finding a parameter in the generated table. */
#include "conf/params.h"
#include "conf/master_cf.h"

const char *
conf_status_name(enum conf_status status)
{
	switch (status) {
	case CONF_WORKS:
		return "works";
	case CONF_ACCEPTED:
		return "accepted";
	case CONF_NOT_YET:
		return "not-yet";
	}
	return "";
}

const struct conf_param *
conf_param_find(struct str name)
{
	size_t low = 0, high = conf_n_params, mid;
	int c;

	while (low < high) {
		mid = low + (high - low) / 2;
		c = str_cmp(name, conf_params[mid].name);
		if (c == 0)
			return &conf_params[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

bool
conf_template_applies(const struct conf_param *t, const struct master_service *service)
{
	static const struct str agents = STR_INIT("error lmtp local pipe smtp virtual");
	struct str rest = t->of.n > 0 ? t->of : agents, word;

	if (t->of.n == 0 && service->type == MASTER_INET)
		return false;
	while (str_token(&rest, " ", &word))
		if (str_eq(word, service->command))
			return true;
	return false;
}

const struct conf_param *
conf_template_find(struct str name, struct str *out_transport)
{
	const struct conf_param *best = NULL;

	/* The longest suffix: "_destination_recipient_limit" before "_recipient_limit".
	 */
	for (size_t i = 0; i < conf_n_templates; i++) {
		const struct conf_param *t = &conf_templates[i];

		if (name.n > t->name.n && str_ends(name, t->name) &&
		    (best == NULL || t->name.n > best->name.n))
			best = t;
	}
	if (best != NULL)
		*out_transport = str_head(name, name.n - best->name.n);
	return best;
}

const struct conf_param *
conf_template_in(const struct master_cf *m, struct str name, struct str *out_transport)
{
	const struct conf_param *t;
	struct str transport;

	t = conf_template_find(name, &transport);
	for (size_t i = 0; t != NULL && i < m->n; i++) {
		const struct master_service *v = &m->v[i];

		if (!str_eq(v->name, transport))
			continue;
		if (t->of.n > 0 ? conf_template_applies(t, v) : v->type == MASTER_UNIX) {
			*out_transport = transport;
			return t;
		}
	}
	return NULL;
}
