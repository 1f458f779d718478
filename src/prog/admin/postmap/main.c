/* postmap: makes, asks and changes lookup tables. All of it is in agent/table_command.h,
 * which postalias shares. */
#include "agent/table_command.h"

static const struct table_dialect dialect = {
	.name = "postmap",
	.usage = "usage: postmap [-bfFhijmnNoprsuUvw] [-c config_dir] [-d key] [-q key] "
		 "[map_type:]file...",
	.options = "bc:d:fFhijmnNopq:rsuUvw",
};

static struct table_command command; /* reachable to the end */

int
main(int argc, char **argv)
{
	return table_command_main(&command, &dialect, argc, argv);
}
