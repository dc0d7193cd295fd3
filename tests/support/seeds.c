// Runs seeds one after the other, and remembers which one runs for when it aborts: see seeds.h.
#include "support/seeds.h"

#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char running[128];

static void silent(enum log_level level, const char *line) {
    (void)level;
    (void)line;
}

static void tell_which(int number) {
    (void)number;
    for (const char *at = running; *at != '\0'; at++)
        (void)!write(STDERR_FILENO, at, 1);
}

void seeds_run(const char *name, uint64_t seed, void (*run)(uint64_t seed, const void *user), const void *user) {
    log_redirect(silent);
    void (*before)(int) = signal(SIGABRT, tell_which);
    snprintf(running, sizeof running, "%s: seed %llu\n", name, (unsigned long long)seed);
    if (getenv("OUTRIGGER_SEEDS_SHOWN") != NULL)
        fputs(running, stderr);
    run(seed, user);
    signal(SIGABRT, before);
    log_redirect(NULL);
}

uint64_t seeds_each(const char *name, uint64_t count, void (*run)(uint64_t seed, const void *user), const void *user) {
    const char *alone = getenv("OUTRIGGER_SEED"), *many = getenv("OUTRIGGER_SEEDS");
    const uint64_t first = alone == NULL ? 1 : strtoull(alone, NULL, 10);
    const uint64_t last = alone != NULL ? first : many != NULL ? strtoull(many, NULL, 10) : count;
    for (uint64_t seed = first; seed <= last; seed++)
        seeds_run(name, seed, run, user);
    return last - first + 1;
}
