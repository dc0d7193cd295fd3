// What a process is set to before anything is opened: see process.h.
#include "app/process.h"

#include "base/sanitized.h"
#include "net/tls_memory.h"

#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static void check_processor(void) {
#ifdef OUTRIGGER_NEEDS_SSE42
    if (!__builtin_cpu_supports("sse4.2")) {
        fputs("outrigger-proxy: this build needs a processor with SSE 4.2\n", stderr);
        exit(1);
    }
#endif
}

void process_prepare(void) {
    check_processor();
    tls_memory_install(); // before anything asks OpenSSL for memory
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    sigaction(SIGPIPE, &ignore, NULL);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
    limit = (struct rlimit){.rlim_cur = 0, .rlim_max = 0};
    setrlimit(RLIMIT_CORE, &limit); // private keys and clients' secrets are in memory
#if !SANITIZED
    prctl(PR_SET_DUMPABLE, 0, 0, 0,
          0); // a limit of 0 does not hold where cores go into a pipe; and who is the same user may not look into the process
#endif
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1); // blocks and chunks come from free lists: more arenas would only hold more memory
#endif
}

// The kernel gives out the lowest number that is free: it tells how many are taken.
bool process_may_open(uint32_t descriptors) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return true;
    const int next = open("/", O_PATH | O_CLOEXEC);
    const unsigned long long allowed = limit.rlim_cur, taken = next >= 0 ? (unsigned long long)next : allowed, needed = taken + descriptors;
    if (next >= 0)
        close(next);
    if (allowed >= needed)
        return true;
    fprintf(stderr, "error: too few file descriptors: the process may have %llu and needs %llu at least (ulimit -n, LimitNOFILE)\n", allowed, needed);
    return false;
}
