// Processor time of other processes, to the nanosecond, by the scheduler's own account (/proc/PID/task/TID/schedstat), all threads summed.
// The load program reads it at the very ends of the measured phase, so that neither start-up nor warm-up is counted. Linux only.
#ifndef BENCH_CPU_WATCH_H
#define BENCH_CPU_WATCH_H

#include <stddef.h>
#include <stdint.h>

#define CPU_WATCH_PIDS 8

struct cpu_watch {
    int pids[CPU_WATCH_PIDS];
    size_t count;
    uint64_t begin_ns[CPU_WATCH_PIDS], spent_ns[CPU_WATCH_PIDS];
};

// `list` is PID[,PID...]. Returns 0, or -1 when it is not that or too long.
int cpu_watch_init(struct cpu_watch *watch, const char *list);
void cpu_watch_begin(struct cpu_watch *watch);
void cpu_watch_end(struct cpu_watch *watch);

#endif
