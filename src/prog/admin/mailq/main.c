/* mailq: lists the queue. It is sendmail by another name, beside it. */
#include "agent/beside.h"

int
main(int argc, char **argv)
{
	return beside_be_sendmail("mailq", argc, argv);
}
