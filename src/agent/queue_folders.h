#ifndef AGENT_QUEUE_FOLDERS_H
#define AGENT_QUEUE_FOLDERS_H
/* The folders below queue_directory, as master makes them and `postfix check` wants them.
 */
#include <stdbool.h>
#include <sys/types.h>

struct queue_folder {
	const char *name;
	mode_t mode;
	bool is_owners; /* mail_owner's, else root's */
	bool is_groups; /* setgid_group's */
};

enum { QUEUE_FOLDERS = 6 };
extern const struct queue_folder queue_folders[QUEUE_FOLDERS];
#endif
