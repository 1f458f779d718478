/* postalias: makes, asks and changes alias databases. All of it is in
 * agent/table_command.h, which postmap shares. */
#include "agent/table_command.h"

static const struct table_dialect dialect = {
	.name = "postalias",
	.usage = "usage: postalias [-Nfijnoprsuvw] [-c config_dir] [-d key] [-q key] "
		 "[map_type:]file...",
	.options = "Nc:d:fijnopq:rsuvw",
	.is_alias = true,
};

static struct table_command command; /* reachable to the end */

int
main(int argc, char **argv)
{
	return table_command_main(&command, &dialect, argc, argv);
}
