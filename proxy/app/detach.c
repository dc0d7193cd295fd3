// A pipe whose other end the process that goes on holds: a byte through it means ready, its end that the process is gone.
#include "app/detach.h"

#include "app/options.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void wait_and_end(pid_t child, int mark) {
    char byte;
    ssize_t length;
    do
        length = read(mark, &byte, 1);
    while (length < 0 && errno == EINTR);
    if (length == 1)
        _exit(EXIT_OK);
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        continue;
    _exit(WIFEXITED(status) ? WEXITSTATUS(status) : EXIT_FAILED);
}

int detach(void) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) {
        perror("outrigger-proxy: --detach");
        return -1;
    }
    pid_t child = fork();
    if (child < 0) {
        perror("outrigger-proxy: --detach");
        return -1;
    }
    if (child > 0) {
        close(ends[1]);
        wait_and_end(child, ends[0]);
    }
    close(ends[0]);
    setsid();
    return ends[1];
}

void detach_done(int *mark) {
    if (*mark < 0)
        return;
    if (write(*mark, "k", 1) < 0)
        perror("outrigger-proxy: --detach");
    close(*mark);
    *mark = -1;
}
