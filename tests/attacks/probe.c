/* The attacker's hand inside a container: does one thing and says how it went. Static, so that it runs anywhere.
 * Usage: probe WHAT [WORDS]; see the table at the end. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

/* Open descriptors above 2, where they lead, and the working directory. */
static int fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	struct dirent *entry;
	char path[300], to[4096];
	if (!dir)
		return printf("no /proc/self/fd: %s\n", strerror(errno)), 1;
	while ((entry = readdir(dir))) {
		int fd = atoi(entry->d_name);
		ssize_t length;
		if (entry->d_name[0] == '.' || fd == dirfd(dir) || fd < 3)
			continue;
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		length = readlink(path, to, sizeof to - 1);
		to[length < 0 ? 0 : length] = 0;
		printf("fd %d %s\n", fd, to);
	}
	if (syscall(SYS_getcwd, to, sizeof to) < 0)
		printf("cwd unknown: %s\n", strerror(errno));
	else
		printf("cwd %s\n", to);
	return 0;
}

static int fds_to(char **words)
{
	/* Descriptor 1 is put back, for what the caller may run next. */
	int result, fd = open(words[0], O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0644);
	if (fd < 0 || fd < 3)
		return 1;
	dup2(fd, 1);
	close(fd);
	if (words[1])
		printf("of %s\n", words[1]);
	result = fds();
	printf("end\n");
	fflush(stdout);
	return result;
}

/* Init for the tests: tells its descriptors, then waits for SIGPWR. */
static void leave(int number) { _exit(number == SIGPWR ? 0 : 1); }
static int init(char **words)
{
	signal(SIGPWR, leave);
	fds_to(words);
	for (;;)
		pause();
}

/* Types `text` into every terminal in reach: descriptors 0 to 2, /dev/tty, /dev/console; and pastes by TIOCLINUX. */
static int type(char **words)
{
	const char *places[] = { "/dev/tty", "/dev/console", NULL };
	int fds[5] = { 0, 1, 2 }, count = 3, i;
	for (i = 0; places[i]; i++) {
		int fd = open(places[i], O_RDWR | O_NOCTTY);
		if (fd >= 0)
			fds[count++] = fd;
	}
	for (i = 0; i < count; i++) {
		const char *letter;
		char paste[] = { 2 /* selection: */, 0 }, again = 3;
		for (letter = words[0]; *letter; letter++)
			if (ioctl(fds[i], TIOCSTI, letter) < 0)
				break;
		printf("sti %d %s\n", fds[i], *letter ? strerror(errno) : "typed");
		printf("linux %d %s\n", fds[i],
		       ioctl(fds[i], TIOCLINUX, paste) < 0 && ioctl(fds[i], TIOCLINUX, &again) < 0 ? strerror(errno) : "pasted");
	}
	return 0;
}

/* Asks a monitor: ADDRESS (abstract) COMMAND TEXT; prints what came back. For users other than the test's own. */
static int ask(char **words)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct { int number, length; unsigned long data; } request = { atoi(words[1]), 0, 0 }, reply;
	struct iovec part = { &reply, sizeof reply };
	char space[CMSG_SPACE(20 * sizeof(int))];
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof space };
	struct timeval limit = { 3, 0 };
	struct cmsghdr *control;
	signal(SIGPIPE, SIG_IGN);
	int rights = 0, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	size_t length = strlen(words[0]);
	memcpy(address.sun_path + 1, words[0], length);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
	if (connect(fd, (void *)&address, sizeof(sa_family_t) + 1 + length))
		return printf("connect: %s\n", strerror(errno)), 0;
	request.length = strlen(words[2]);
	if (write(fd, &request, sizeof request) < 0 || (request.length && write(fd, words[2], request.length) < 0))
		return printf("write: %s\n", strerror(errno)), 0;
	length = recvmsg(fd, &message, 0);
	if ((ssize_t)length <= 0)
		return printf("%s\n", length ? strerror(errno) : "closed"), 0;
	for (control = CMSG_FIRSTHDR(&message); control; control = CMSG_NXTHDR(&message, control))
		rights += control->cmsg_type == SCM_RIGHTS;
	printf("ret %d length %d data %ld rights %d\n", reply.number, reply.length, (long)reply.data, rights);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	if (!strcmp(what, "fds"))
		return fds();
	if (!strcmp(what, "fds-to") && argc > 2)
		return fds_to(argv + 2);
	if (!strcmp(what, "init") && argc > 2)
		return init(argv + 2);
	if (!strcmp(what, "type") && argc > 2)
		return type(argv + 2);
	if (!strcmp(what, "ask") && argc > 4)
		return ask(argv + 2);
	fprintf(stderr, "probe: no %s\n", what);
	return 2;
}
