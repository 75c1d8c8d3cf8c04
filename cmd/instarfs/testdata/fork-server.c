// A library that makes the dynamically linked program into which it is preloaded start once for
// many runs. The tests run qemu-img a hundred thousand times, and loading its thirty libraries
// takes ten times longer than mapping a small image.
//
// Called as `PROGRAM fork-server`, the program reads requests from standard input: a length in 4
// bytes, then strings that end with a NUL: a directory, the files for standard output and standard
// error, and the words of a command line. A child of its own goes on into main for each. On
// standard output goes what waitpid said of the child, 4 bytes. No constructor of the program
// itself has run by then, so it has no threads yet.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_REQUEST (1 << 16)
#define MAX_WORDS 64

typedef int main_fn(int, char **, char **);
typedef void hook_fn(void);
typedef int start_fn(main_fn *, int, char **, hook_fn *, hook_fn *, hook_fn *, void *);

static char request[MAX_REQUEST];
static char *words[MAX_WORDS + 1];

static void receive(void *to, size_t n)
{
    while (n > 0) {
        ssize_t got = read(0, to, n);
        if (got <= 0)
            _exit(0);
        to = (char *)to + got;
        n -= got;
    }
}

static void redirect(const char *file, int flags, int to)
{
    int fd = open(file, flags, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(99);
    close(fd);
}

// serve returns in a child, with the number of words of its command line.
static int serve(char *program)
{
    for (;;) {
        uint32_t length;
        receive(&length, sizeof length);
        if (length == 0 || length > sizeof request)
            _exit(99);
        receive(request, length);
        request[length - 1] = 0;
        int n = 0;
        char *places[3];
        char *end = request + length;
        for (char *s = request; s < end && n < MAX_WORDS + 2; s += strlen(s) + 1, n++) {
            if (n < 3)
                places[n] = s;
            else
                words[n - 2] = s;
        }
        if (n < 3)
            _exit(99);
        pid_t pid = fork();
        if (pid < 0)
            _exit(99);
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            redirect("/dev/null", O_RDONLY, 0);
            redirect(places[1], O_WRONLY | O_CREAT | O_TRUNC, 1);
            redirect(places[2], O_WRONLY | O_CREAT | O_TRUNC, 2);
            if (chdir(places[0]) < 0)
                _exit(99);
            words[0] = program;
            words[n - 2] = NULL;
            return n - 2;
        }
        int status;
        if (waitpid(pid, &status, 0) != pid || write(1, &status, sizeof status) != sizeof status)
            _exit(99);
    }
}

int __libc_start_main(main_fn *main, int argc, char **argv, hook_fn *init, hook_fn *fini,
                      hook_fn *rtld_fini, void *stack_end)
{
    start_fn *start = (start_fn *)dlsym(RTLD_NEXT, "__libc_start_main");
    if (argc == 2 && strcmp(argv[1], "fork-server") == 0) {
        argc = serve(argv[0]);
        argv = words;
    }
    return start(main, argc, argv, init, fini, rtld_fini, stack_end);
}
