// See memory_budget.h. A limit may stand at any level above the process's own cgroup: the tightest one counts, with what is used there. It may change while we run.
#include "base/memory_budget.h"

#include "base/bytes.h"
#include "base/block.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/memory_room.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

// Several workers ask on timers of their own: no two looks are closer than this.
#define LOOK_APART_NS (100 * NS_PER_MS)

// What is used beside blocks, chunks and connections, and grows in a burst: the ring of the access log, what pages of metrics are made of, what the allocator loses.
#define UNCOUNTED_BYTES (UINT64_C(2) << 20)

// Longer than any path of a cgroup that we would follow.
#define PATH_BYTES 4096

// memory.stat has some 40 lines; what we look for is among the first.
#define STAT_BYTES 4096

// Version 1 says the largest number of pages where it means none.
#define LIMIT_NONE (UINT64_C(1) << 60)

struct cgroup_files {
    const char *controller; // in front of its path in /proc/self/cgroup
    const char *folder;     // under the root
    const char *limit;
    const char *use;
    const char *dropped; // of the statistics: pages of files that nobody has touched for long
};

static const struct cgroup_files versions[] = {
    {"0::", "", "memory.max", "memory.current", "inactive_file "},
    {":memory:", "/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "},
};

// --- levels ---

// The use at which `level` is reached.
static uint64_t threshold(uint32_t level, uint64_t limit, uint32_t percent) {
    uint64_t quarters = 4 * (uint64_t)percent + (100 - percent) * (uint64_t)(level - 1);
    return limit / 400 * quarters;
}

enum memory_level memory_level_next(enum memory_level level, uint64_t use, uint64_t limit, uint32_t percent) {
    CHECK(percent > 0 && percent <= 100);
    if (limit == 0)
        return MEMORY_PLENTY;
    uint64_t half_step = limit / 800 * (100 - percent);
    uint64_t margin = half_step > limit / 100 ? half_step : limit / 100;
    enum memory_level next = level;
    while (next < MEMORY_REFUSE_CONNECTIONS && use >= threshold(next + 1, limit, percent))
        next++;
    if (next == level && level > MEMORY_PLENTY && use + margin < threshold(level, limit, percent))
        next--;
    return next;
}

int64_t memory_room_of(uint64_t use, uint64_t limit, uint32_t workers) {
    if (limit == 0)
        return MEMORY_ROOM_ENDLESS;
    const uint64_t uncounted = limit / 16 < UNCOUNTED_BYTES ? limit / 16 : limit / 32 > UNCOUNTED_BYTES ? limit / 32 : UNCOUNTED_BYTES;
    const uint64_t most = limit - uncounted;
    if (use >= most)
        return 0;
    const uint64_t part = (most - use) / 8 / workers;
    return part > BLOCK_SIZE ? (int64_t)part : BLOCK_SIZE;
}

uint32_t memory_streams_of(uint64_t use, uint64_t limit, uint32_t percent, uint32_t workers) {
    if (limit == 0)
        return UINT32_MAX;
    const uint64_t most = threshold(MEMORY_REFUSE_REQUESTS, limit, percent);
    const uint64_t count = use < most ? (most - use) / MEMORY_STREAM_BYTES / workers : 0;
    return count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
}

uint32_t memory_socket_bytes_of(uint64_t limit) {
    if (limit == 0)
        return 0;
    const uint64_t part = limit / 1024;
    return part < BLOCK_SIZE ? BLOCK_SIZE : part > LIMIT_SOCKET_BYTES ? LIMIT_SOCKET_BYTES : (uint32_t)part;
}

// --- files ---

// False when there is nothing to read.
static bool read_text(int file, char *text, size_t size) {
    ssize_t length = file < 0 ? -1 : pread(file, text, size - 1, 0);
    if (length <= 0)
        return false;
    text[length] = '\0';
    return true;
}

// The number at the begin of a text; "max", and what version 1 has for it, count as 0.
static uint64_t number_of(const char *text) {
    uint64_t number = 0;
    for (const char *at = text; *at >= '0' && *at <= '9' && number < LIMIT_NONE; at++)
        number = number * 10 + (uint64_t)(*at - '0');
    return number < LIMIT_NONE ? number : 0;
}

static uint64_t read_number(int file) {
    char text[32];
    return read_text(file, text, sizeof text) ? number_of(text) : 0;
}

static uint64_t read_dropped(const struct memory_budget *budget) {
    char text[STAT_BYTES];
    if (!read_text(budget->stat_file, text, sizeof text))
        return 0;
    for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, budget->dropped, strlen(budget->dropped)) == 0)
            return number_of(line + strlen(budget->dropped));
    }
    return 0;
}

static void close_files(struct memory_budget *budget) {
    int *const files[] = {&budget->limit_file, &budget->use_file, &budget->stat_file};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        if (*files[i] >= 0)
            close(*files[i]);
        *files[i] = -1;
    }
}

static int open_in(const char *folder, const char *name) {
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    return length < (int)sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

// False when `folder` is no cgroup with these files.
static bool open_level(struct memory_budget *level, const char *folder, const struct cgroup_files *files) {
    level->limit_file = open_in(folder, files->limit);
    level->use_file = open_in(folder, files->use);
    level->stat_file = open_in(folder, "memory.stat");
    level->dropped = files->dropped;
    if (level->limit_file >= 0 && level->use_file >= 0)
        return true;
    close_files(level);
    return false;
}

static void prefer(struct memory_budget *budget, struct memory_budget *other) {
    uint64_t limit = read_number(budget->limit_file);
    uint64_t others = read_number(other->limit_file);
    bool is_tighter = budget->limit_file < 0 || (others > 0 && (limit == 0 || others < limit));
    struct memory_budget *worse = is_tighter ? budget : other;
    close_files(worse);
    if (!is_tighter)
        return;
    budget->limit_file = other->limit_file;
    budget->use_file = other->use_file;
    budget->stat_file = other->stat_file;
    budget->dropped = other->dropped;
}

// From the process's own cgroup up to the mounted root. In a container the path may be the host's, of which only the root is there.
static void open_version(struct memory_budget *budget, const char *root, struct bytes own, const struct cgroup_files *files) {
    char folder[PATH_BYTES];
    int length = snprintf(folder, sizeof folder, "%s%s%.*s", root, files->folder, BYTES_FORMAT(own));
    size_t base = strlen(root) + strlen(files->folder);
    if (length >= (int)sizeof folder)
        return;
    for (;;) {
        struct memory_budget level;
        if (open_level(&level, folder, files))
            prefer(budget, &level);
        char *slash = strrchr(folder, '/');
        if (slash == NULL || slash < folder + base)
            return;
        *slash = '\0';
    }
}

// The path behind `controller` in the lines of /proc/self/cgroup ("4:memory:/a/b", "0::/a/b").
static bool find_path(struct bytes lines, const char *controller, struct bytes *path) {
    struct bytes line;
    while (bytes_next(&lines, '\n', &line)) {
        const char *found = memmem(line.at, line.len, controller, strlen(controller));
        if (found == NULL || (controller[0] != ':' && found != line.at))
            continue;
        found += strlen(controller);
        *path = bytes_from(found, (size_t)(line.at + line.len - found));
        return true;
    }
    return false;
}

void memory_budget_open(struct memory_budget *budget, const char *root, const char *own) {
    *budget = (struct memory_budget){.limit_file = -1, .use_file = -1, .stat_file = -1};
    for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
        struct bytes path;
        if (find_path(bytes_from_text(own), versions[i].controller, &path))
            open_version(budget, root, path, &versions[i]);
    }
    atomic_store(&budget->limit, read_number(budget->limit_file));
}

void memory_budget_open_own(struct memory_budget *budget) {
    char own[PATH_BYTES] = "";
    int file = open("/proc/self/cgroup", O_RDONLY | O_CLOEXEC);
    (void)read_text(file, own, sizeof own);
    if (file >= 0)
        close(file);
    memory_budget_open(budget, "/sys/fs/cgroup", own);
}

void memory_budget_close(struct memory_budget *budget) {
    close_files(budget);
}

// --- looking ---

static void look(struct memory_budget *budget, uint32_t percent) {
    uint64_t limit = read_number(budget->limit_file);
    uint64_t use = read_number(budget->use_file);
    // Reading the statistics costs more: only where it could matter.
    if (limit > 0 && use >= threshold(MEMORY_KEEP_NOTHING, limit, percent) / 2) {
        uint64_t dropped = read_dropped(budget);
        use -= dropped < use ? dropped : use;
    }
    atomic_store_explicit(&budget->limit, limit, memory_order_relaxed);
    atomic_store_explicit(&budget->use, use, memory_order_relaxed);
    if (use > atomic_load_explicit(&budget->use_peak, memory_order_relaxed))
        atomic_store_explicit(&budget->use_peak, use, memory_order_relaxed);
    uint32_t level = atomic_load_explicit(&budget->level, memory_order_relaxed);
    enum memory_level next = memory_level_next(level, use, limit, percent);
    // Another worker may have looked at the same time: one of them tells.
    if (next == level || !atomic_compare_exchange_strong_explicit(&budget->level, &level, next, memory_order_relaxed, memory_order_relaxed))
        return;
    log_event(LOG_WARN, "memory_level", "level=%u use=%llu limit=%llu", next, (unsigned long long)use, (unsigned long long)limit);
}

enum memory_level memory_budget_check(struct memory_budget *budget, uint32_t percent, nanoseconds now) {
    if (budget->limit_file < 0)
        return MEMORY_PLENTY;
    nanoseconds before = atomic_load_explicit(&budget->checked_at, memory_order_relaxed);
    // Who sets the time looks. Loops read their clocks at slightly different moments: `now` may lie before.
    bool is_due = now >= before + LOOK_APART_NS;
    if (is_due && atomic_compare_exchange_strong_explicit(&budget->checked_at, &before, now, memory_order_relaxed, memory_order_relaxed))
        look(budget, percent);
    return atomic_load_explicit(&budget->level, memory_order_relaxed);
}

enum memory_level memory_budget_look(struct memory_budget *budget, uint32_t percent) {
    if (budget->limit_file >= 0)
        look(budget, percent);
    return atomic_load_explicit(&budget->level, memory_order_relaxed);
}
