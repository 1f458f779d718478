/* What the folders of a queue are called, and whose they are. */
#include "agent/queue_folders.h"

const struct queue_folder queue_folders[QUEUE_FOLDERS] = {
	{ "pid", 0755, false, false },
	{ "private", 0700, true, false },
	{ "public", 02710, true, true },
	{ "maildrop", 01730, true, true },
	{ "journal", 0700, true, false },
	{ "corrupt", 0700, true, false },
};
