#ifndef CONF_SNAPSHOT_H
#define CONF_SNAPSHOT_H
/* One consistent configuration: both files, the facts about the host that defaults depend
 * on, and the values that follow. Immutable; a reload makes a new one.
 *
 * Master loads the files, checks them, and writes the snapshot into a sealed memfd; every
 * worker reads that with the same parser, so a worker that is restarted gets what was
 * checked, whatever the files say by then. */
#include "addr/net.h"
#include "base/base.h"
#include "conf/generated.h"
#include "conf/main_cf.h"
#include "conf/master_cf.h"

#define CONF_SNAPSHOT_MAX (16 << 20)
#define CONF_VALUE_MAX    (1 << 20) /* an expanded value */

/* Facts about the host, looked up once by who loads the files. */
struct conf_host {
	struct str name; /* gethostname() */
	struct str
	    addresses; /* of the interfaces, "1.2.3.4/24 ::1/128 …", blank separated */
	/* Names that inet_interfaces and proxy_interfaces mention: "name=1.2.3.4 …". */
	struct str names;
	bool resolves_late; /* `names` is empty: they are looked up whenever they count */
};

struct conf_snapshot {
	struct str config_directory;
	struct str main_path, master_path;
	struct str main_text, master_text;
	struct main_cf main;
	struct master_cf master;
	struct conf_host host;
	struct str process_name; /* of this process: "smtpd" */
	int64_t process_id;
	const struct master_override
	    *extra; /* -o of the command line: before the files */
	size_t n_extra;
	uint64_t generation; /* counts loads within one master */
};

struct conf_load {
	struct str config_directory;
	struct str process_name;
	bool without_main; /* built-in defaults: main.cf is not read */
	/* Commands: master.cf may be missing or broken, and the name server is not to be
	 * waited for without need: names in inet_interfaces are resolved when asked for.
	 */
	bool without_master;
	const struct master_override
	    *extra; /* -o NAME=VALUE of the command line, or NULL */
	size_t n_extra;
};

/* Reads the two files and the host's facts.
 *
 * Memory:  everything lives in `mem`; give it at least CONF_SNAPSHOT_MAX.
 * Returns: RC_PERM broken ("file F, line N: …"); RC_TEMP cannot be read ("open F: …") or
 * memory limit. Blocks:  on files; for commands and master. */
MUST_USE enum rc conf_load(const struct conf_load *what, struct arena *mem,
    const struct conf_snapshot **out, struct err *e);
/* The same from texts, for tests: no file is read. */
MUST_USE enum rc conf_from_text(struct str main_text, struct str master_text,
    const struct conf_host *host, struct arena *mem, const struct conf_snapshot **out,
    struct err *e);
/* Whether every parameter of every part and every service override has a legal value:
 * what `postfix check` and a reload ask before anything changes. */
MUST_USE enum rc conf_check(const struct conf_snapshot *s, struct err *e);

/* Whether mail_owner, default_privs and setgid_group exist, have no privileges and do not
 * overlap. For who runs as root: anybody else changes no ids.
 *
 * Returns: RC_PERM with Postfix's words; RC_TEMP the user database fails.
 * Blocks:  on the user database. */
MUST_USE enum rc conf_check_owners(const struct conf_snapshot *s, struct err *e);

/* Writes to / reads from the start of `fd`. conf_snapshot_memfd() makes a sealed memfd.
 */
MUST_USE enum rc conf_snapshot_write(
    const struct conf_snapshot *s, int fd, struct err *e);
MUST_USE enum rc conf_snapshot_read(int fd, struct str process_name, struct arena *mem,
    const struct conf_snapshot **out, struct err *e);
MUST_USE enum rc conf_snapshot_memfd(
    const struct conf_snapshot *s, int *out_fd, struct err *e);

/* The value of any name, expanded: an override of `service` (may be NULL), main.cf, the
 * default of a known parameter or of a transport's (smtp_destination_concurrency_limit),
 * else empty.
 *
 * Returns: RC_NONE nobody defines it; RC_PERM a loop or a syntax error; RC_TEMP memory
 * limit. */
MUST_USE enum rc conf_get(const struct conf_snapshot *s,
    const struct master_service *service, struct str name, struct arena *mem,
    struct str *out, struct err *e);
/* The same as it stands, without expansion. */
MUST_USE enum rc conf_raw(const struct conf_snapshot *s,
    const struct master_service *service, struct str name, struct arena *mem,
    struct str *out, struct err *e);
/* Expands $name in any text the same way. */
MUST_USE enum rc conf_expand(const struct conf_snapshot *s,
    const struct master_service *service, struct str text, struct arena *mem,
    struct str *out, struct err *e);
/* $service_name of a service: its name in master.cf. */
struct str conf_service_name(const struct master_service *service);

struct conf_addresses {
	struct addr_ip *v;
	size_t n;
};
/* The addresses that inet_interfaces means (and those of proxy_interfaces), limited to
 * inet_protocols. Not for binding to "all", which is the wildcard. Names were resolved
 * when the snapshot was made; a command's are resolved now, which may block.
 *
 * Returns: RC_PERM a name without an address, or (inet_interfaces) an address that is not
 * of this host ("parameter inet_interfaces: …"). */
MUST_USE enum rc conf_own_addresses(const struct conf_snapshot *s,
    const struct master_service *service, bool with_proxies, struct arena *mem,
    struct conf_addresses *out, struct err *e);
/* inet_protocols. RC_PERM: "unknown inet_protocols value …". */
struct conf_protocols {
	bool has_ipv4, has_ipv6;
};
MUST_USE enum rc conf_protocols(const struct conf_snapshot *s,
    const struct master_service *service, struct conf_protocols *out, struct err *e);
#endif
