/* mailq: lists the queue. It is sendmail by another name, beside it. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	static char name[] = "mailq";
	char path[4096], *slash;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("sendmail"));

	if (n <= 0 || argc < 1)
		return 71;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL)
		return 71;
	(void)memcpy(slash + 1, "sendmail", sizeof("sendmail"));
	argv[0] = name;
	(void)execv(path, argv);
	perror("mailq: sendmail");
	return 71;
}
