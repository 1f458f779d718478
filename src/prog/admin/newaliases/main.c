/* newaliases: builds all of alias_database. It is sendmail by another name, beside it. */
#include "agent/beside.h"

int
main(int argc, char **argv)
{
	return beside_be_sendmail("newaliases", argc, argv);
}
