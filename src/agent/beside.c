/* Commands beside this one. */
#include "agent/beside.h"
#include <stdint.h>
#include <stdio.h>
#include <sysexits.h>
#include <unistd.h>

void
beside_path(const char *name, char *out)
{
	char self[BESIDE_PATH_MAX] = "";
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 64);

	while (n > 0 && self[n - 1] != '/')
		n--;
	self[n > 0 ? n : 0] = '\0';
	(void)snprintf(out, BESIDE_PATH_MAX, "%s%s", self, name);
}

int
beside_be_sendmail(const char *name, int argc, char **argv)
{
	char path[BESIDE_PATH_MAX];

	if (argc < 1)
		return EX_OSERR;
	beside_path("sendmail", path);
	if (path[0] != '/')
		return EX_OSERR;
	argv[0] = (char *)(uintptr_t)name;
	(void)execv(path, argv);
	(void)fprintf(stderr, "%s: ", name);
	perror("sendmail");
	return EX_OSERR;
}
