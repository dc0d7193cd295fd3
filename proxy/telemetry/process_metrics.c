// What /proc and getrusage tell of this process, as metrics: see process_metrics.h.
#include "telemetry/process_metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define COUNT_AFTER (10 * NS_PER_S)

static nanoseconds of_timeval(struct timeval time) {
    return (nanoseconds)time.tv_sec * NS_PER_S + (nanoseconds)time.tv_usec * NS_PER_US;
}

static void add(struct exposition *exposition, enum metric metric, uint64_t value) {
    exposition_begin(exposition, metric);
    exposition_add(exposition, NULL, value);
}

static void add_cpu(struct exposition *exposition) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return;
    exposition_begin(exposition, METRIC_PROCESS_CPU);
    exposition_add_seconds(exposition, NULL, of_timeval(usage.ru_utime) + of_timeval(usage.ru_stime));
}

// proc(5): fields 22 and 24 of /proc/self/stat are the start in clock ticks after boot and the resident pages. The name of the program, which may hold anything,
// ends at the last parenthesis.
static bool read_stat(uint64_t *start_ticks, uint64_t *pages) {
    char text[1024];
    FILE *file = fopen("/proc/self/stat", "re");
    if (file == NULL)
        return false;
    size_t length = fread(text, 1, sizeof(text) - 1, file);
    fclose(file);
    text[length] = '\0';
    const char *fields = strrchr(text, ')');
    return fields != NULL &&
           sscanf(fields + 1, " %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %*s %" SCNu64, start_ticks,
                  pages) == 2;
}

static uint64_t count_descriptors(void) {
    uint64_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return 0;
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 3; // without ".", ".." and the folder's own
}

void process_figures_init(struct process_figures *figures) {
    uint64_t start_ticks, pages;
    *figures = (struct process_figures){0};
    if (!read_stat(&start_ticks, &pages))
        return;
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    const nanoseconds up = (nanoseconds)boot.tv_sec * NS_PER_S + (nanoseconds)boot.tv_nsec;
    figures->started = clock_wall_ns() - (up - start_ticks * (NS_PER_S / (nanoseconds)sysconf(_SC_CLK_TCK)));
}

void process_figures_look(struct process_figures *figures, nanoseconds now) {
    struct stat folder;
    if (stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) {
        figures->descriptors = (uint64_t)folder.st_size;
    } else if (figures->counted_at == 0 || now >= figures->counted_at + COUNT_AFTER) {
        figures->descriptors = count_descriptors();
        figures->counted_at = now;
    }
}

uint64_t process_resident_bytes(void) {
    uint64_t start_ticks, pages;
    return read_stat(&start_ticks, &pages) ? pages * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
}

void process_metrics_expose(struct exposition *exposition, const struct process_figures *figures) {
    const uint64_t resident = process_resident_bytes();
    struct rlimit limit;
    add_cpu(exposition);
    if (resident > 0)
        add(exposition, METRIC_PROCESS_RESIDENT, resident);
    if (figures->started > 0) {
        exposition_begin(exposition, METRIC_PROCESS_START);
        exposition_add_seconds(exposition, NULL, figures->started);
    }
    if (figures->descriptors > 0)
        add(exposition, METRIC_PROCESS_OPEN_FDS, figures->descriptors);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        add(exposition, METRIC_PROCESS_MAX_FDS, limit.rlim_cur);
}
