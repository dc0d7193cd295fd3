// Runs something once for each of many seeds, and says which one it was that aborted.
//
// Of what a sanitizer finds too, where it aborts behind its report: abort_on_error=1 in ASAN_OPTIONS, as ctest runs unit tests.
// OUTRIGGER_SEED=123 runs one seed alone, OUTRIGGER_SEEDS=n so many, OUTRIGGER_SEEDS_SHOWN tells each as it begins. The log is silent meanwhile.
#ifndef SUPPORT_SEEDS_H
#define SUPPORT_SEEDS_H

#include <stdint.h>

// Seeds 1 to `count`. `name`: of what runs, for whoever reads what went wrong. Returns how many ran.
uint64_t seeds_each(const char *name, uint64_t count, void (*run)(uint64_t seed, const void *user), const void *user);

// One more.
void seeds_run(const char *name, uint64_t seed, void (*run)(uint64_t seed, const void *user), const void *user);

#endif
