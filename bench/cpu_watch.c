// The reader of /proc behind cpu_watch.h. A thread that ends while it is read counts as nothing.
#include "bench/cpu_watch.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t thread_ns(int pid, const char *thread) {
    char path[320];
    snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", pid, thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0; // a thread that has just ended
    unsigned long long spent_ns = 0;
    if (fscanf(file, "%llu", &spent_ns) != 1)
        spent_ns = 0;
    fclose(file);
    return spent_ns;
}

static uint64_t process_ns(int pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL) {
        fprintf(stderr, "process %d is gone\n", pid);
        exit(1);
    }
    uint64_t total_ns = 0;
    for (const struct dirent *entry; (entry = readdir(threads)) != NULL;) {
        if (entry->d_name[0] != '.')
            total_ns += thread_ns(pid, entry->d_name);
    }
    closedir(threads);
    return total_ns;
}

int cpu_watch_init(struct cpu_watch *watch, const char *list) {
    *watch = (struct cpu_watch){0};
    while (*list != '\0') {
        char *end = NULL;
        long pid = strtol(list, &end, 10);
        if (end == list || pid <= 0 || watch->count == CPU_WATCH_PIDS || (*end != ',' && *end != '\0'))
            return -1;
        watch->pids[watch->count++] = (int)pid;
        list = *end == ',' ? end + 1 : end;
    }
    return 0;
}

void cpu_watch_begin(struct cpu_watch *watch) {
    for (size_t i = 0; i < watch->count; i++)
        watch->begin_ns[i] = process_ns(watch->pids[i]);
}

void cpu_watch_end(struct cpu_watch *watch) {
    for (size_t i = 0; i < watch->count; i++)
        watch->spent_ns[i] = process_ns(watch->pids[i]) - watch->begin_ns[i];
}
