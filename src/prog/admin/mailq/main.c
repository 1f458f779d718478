/* mailq: lists the queue, as `postqueue -p` beside it does. Of sendmail's options only -C
 * means something here. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
main(int argc, char **argv)
{
	char path[4096], *slash, *dir = NULL;
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - sizeof("postqueue"));
	int c;

	while ((c = getopt(argc, argv, "C:v")) != -1)
		if (c == 'C')
			dir = optarg;
		else if (c != 'v')
			return 64;
	if (n <= 0)
		return 71;
	path[n] = '\0';
	slash = strrchr(path, '/');
	if (slash == NULL)
		return 71;
	(void)memcpy(slash + 1, "postqueue", sizeof("postqueue"));
	if (dir != NULL)
		(void)execl(path, "postqueue", "-c", dir, "-p", (char *)NULL);
	else
		(void)execl(path, "postqueue", "-p", (char *)NULL);
	perror("mailq: postqueue");
	return 71;
}
