// Landlock by its three system calls (no library has them here), and the list of folders. See sandbox.h.
//
// A rule is on what a path leads to now. So each file stands for its folder, both as it is written and where its symlinks end: a file that is replaced by renaming, as
// Kubernetes and certificate agents do, is read again; one that a document names later in another folder is not.
#include "app/sandbox.h"

#include "app/syscalls.h"
#include "base/check.h"
#include "base/log.h"
#include "base/pool.h"
#include "base/sanitized.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/landlock.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

// Of later versions than the headers that this is built with.
#define ACCESS_TRUNCATE (UINT64_C(1) << 14)  // 3
#define ACCESS_IOCTL_DEV (UINT64_C(1) << 15) // 5
#define SCOPE_SIGNAL UINT64_C(2)             // 6

#define ACCESS_VERSION_1 ((UINT64_C(1) << 13) - 1)

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define APPEND (LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG)

// What applies to a file itself; the kernel refuses a rule for a file that has more.
#define OF_FILES (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE)

// As the kernel of version 6 has it; older ones take the front of it.
struct ruleset_attributes {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

struct rules {
    int fd;
};

static void allow(const struct rules *rules, const char *path, uint64_t access) {
    struct stat status;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return; // not there, so nothing to read
    if (fstat(fd, &status) == 0) {
        if (!S_ISDIR(status.st_mode))
            access &= OF_FILES;
        struct landlock_path_beneath_attr rule = {.allowed_access = access, .parent_fd = fd};
        // Pipes and sockets that are open cannot be ruled, and need not.
        if (syscall(SYS_landlock_add_rule, rules->fd, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0 && errno != EBADFD)
            log_event(LOG_WARN, "landlock_rule_failed", "path=\"%s\" reason=\"%s\"", path, strerror(errno));
    }
    close(fd);
}

// Folders that hold too much to be opened for the sake of one file. The last ones are too wide for reading; a log that comes and goes needs its folder.
static bool is_too_wide(const char *folder, uint64_t access) {
    static const char *const wide[] = {"/", "/dev", "/proc", "/sys", "/etc", "/usr", "/home", "/root", "/run", "/tmp", "/var"};
    const size_t count = sizeof wide / sizeof wide[0] - (access == APPEND ? 3 : 0);
    for (size_t i = 0; i < count; i++)
        if (strcmp(folder, wide[i]) == 0)
            return true;
    return false;
}

static void folder_of(const char *path, char folder[PATH_MAX]) {
    const char *slash = strrchr(path, '/');
    const size_t length = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    snprintf(folder, PATH_MAX, "%.*s", slash == NULL ? 1 : (int)length, slash == NULL ? "." : path);
}

// False: the file alone is allowed.
static bool allow_folder_of(const struct rules *rules, const char *path, uint64_t access) {
    char real[PATH_MAX];
    char folder[PATH_MAX];
    folder_of(path, folder);
    if (realpath(folder, real) == NULL)
        return true;
    bool wide = is_too_wide(real, access);
    allow(rules, wide ? path : real, access);
    return !wide;
}

static void allow_file(const struct rules *rules, const char *path, uint64_t access) {
    char real[PATH_MAX];
    if (allow_folder_of(rules, path, access) && realpath(path, real) != NULL)
        (void)allow_folder_of(rules, real, access);
}

// A folder that is made later is in the nearest one that is there: the log may be written anywhere below that, but for the wide ones, which hold what is others'.
static void allow_log(const struct rules *rules, const char *path) {
    char folder[PATH_MAX];
    char real[PATH_MAX];
    folder_of(path, folder);
    if (realpath(folder, real) != NULL) {
        allow_file(rules, path, APPEND);
        return;
    }
    do {
        char below[PATH_MAX];
        snprintf(below, sizeof below, "%s", folder);
        folder_of(below, folder);
    } while (realpath(folder, real) == NULL && strcmp(folder, "/") != 0 && strcmp(folder, ".") != 0);
    if (is_too_wide(real, READ))
        log_event(LOG_ERROR, "log_folder_missing",
                  "path=\"%s\" reason=\"%s is too wide to be opened for it: make the folder, then upgrade or restart\"", path, real);
    else
        allow(rules, real, APPEND);
}

static void allow_documents(const struct rules *rules, const struct options *options) {
    struct pool_source source;
    struct pool pool;
    const char *const *paths;
    uint32_t count;
    pool_source_init(&source, 0);
    pool_init(&pool, &source);
    config_watch_list(NULL, options->paths, options->path_count, &pool, &paths, &count);
    for (uint32_t i = 0; i < options->path_count; i++) {
        char real[PATH_MAX];
        struct stat status;
        if (realpath(options->paths[i], real) != NULL && stat(real, &status) == 0 && S_ISDIR(status.st_mode))
            allow(rules, real, READ);
        allow_file(rules, options->paths[i], READ);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct stat status;
        if (stat(paths[i], &status) == 0 && !S_ISDIR(status.st_mode)) // where the link of a document leads
            (void)allow_folder_of(rules, paths[i], READ);
        else if (!is_too_wide(paths[i], READ))
            allow(rules, paths[i], READ);
    }
    pool_dispose(&pool);
    pool_source_dispose(&source);
}

static void allow_system(const struct rules *rules) {
    static const char *const folders[] = {
        "/proc/self",
        "/sys/fs/cgroup",
        "/sys/devices/system/cpu", // figures
        "/run/systemd/resolve",
        "/run/resolvconf",
        "/run/NetworkManager", // where /etc/resolv.conf may lead
        "/etc/ssl",
        "/usr/lib/ssl",
        "/usr/share/ca-certificates",
        "/usr/local/share/ca-certificates",
        "/etc/pki",
        "/etc/ca-certificates",
    };
    static const char *const files[] = {
        "/etc/resolv.conf", "/etc/hosts",   "/etc/nsswitch.conf", "/etc/host.conf", "/etc/gai.conf", "/etc/services",
        "/etc/localtime",   "/dev/urandom", "/dev/random",        "/proc/meminfo",  "/proc/stat",
    };
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++)
        allow(rules, folders[i], READ);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        allow(rules, files[i], READ);
    // dhclient and editors rename a new file over /etc/resolv.conf or /etc/hosts, which no rule on the file outlives, and Landlock knows no names. What all may read in /etc is no
    // secret; whoever may read more there keeps to the files above, and net/dns to what they said.
    if (geteuid() != 0 && faccessat(AT_FDCWD, "/etc/shadow", R_OK, AT_EACCESS) != 0)
        allow(rules, "/etc", LANDLOCK_ACCESS_FS_READ_FILE);
    allow(rules, "/dev/null", READ | LANDLOCK_ACCESS_FS_WRITE_FILE);
#if SANITIZED
    static const char *const reporters[] = {"/proc", "/lib", "/lib64", "/usr/lib", "/usr/lib64"};
    for (size_t i = 0; i < sizeof reporters / sizeof reporters[0]; i++)
        allow(rules, reporters[i], READ);
    allow_file(rules, "/proc/self/exe", READ);
#endif
}

static int create_ruleset(long version) {
    struct ruleset_attributes attributes = {.handled_access_fs = ACCESS_VERSION_1};
    size_t size = sizeof attributes.handled_access_fs;
    if (version >= 2)
        attributes.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        attributes.handled_access_fs |= ACCESS_TRUNCATE;
    if (version >= 5)
        attributes.handled_access_fs |= ACCESS_IOCTL_DEV;
    if (version >= 6) {
        attributes.scoped = SCOPE_SIGNAL;
        size = sizeof attributes;
    }
    return (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0);
}

static struct bytes enter_landlock(const struct options *options, const struct snapshot *snapshot) {
    long version = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    struct rules rules = {.fd = version < 1 ? -1 : create_ruleset(version)};
    if (rules.fd < 0)
        return BYTES("not supported");
    allow_documents(&rules, options);
    allow_system(&rules);
    for (const struct named_path *named = snapshot->paths; named != NULL; named = named->next)
        allow_file(&rules, named->path.at, READ);
    if (snapshot->has_access_log)
        allow_log(&rules, snapshot->proxy.telemetry.access_log.path.at);
    if (snapshot->proxy.telemetry.audit_log.path.len > 0)
        allow_log(&rules, snapshot->proxy.telemetry.audit_log.path.at);
    long failed = syscall(SYS_landlock_restrict_self, rules.fd, 0);
    close(rules.fd);
    if (failed != 0)
        return BYTES("not supported");
    return BYTES("enforced");
}

static struct bytes enter_seccomp(void) {
    char reason[128];
    if (syscalls_restrict(reason, sizeof reason) == OK)
        return BYTES("enforced");
    log_event(LOG_WARN, "seccomp_failed", "reason=\"%s\"", reason);
    return BYTES("not supported");
}

void sandbox_enter(struct sandbox *sandbox, const struct options *options, const struct snapshot *snapshot) {
    const bool wants_landlock = snapshot->proxy.hardening.landlock == HARDENING_ENFORCE;
    const bool wants_seccomp = snapshot->proxy.hardening.seccomp == HARDENING_ENFORCE;
    if (snapshot->proxy.identity.given || snapshot->gateway_listeners != NULL || snapshot->ca_sets != NULL)
        OPENSSL_init_ssl(0, NULL); // reads its own configuration, and modules that this names
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    sandbox->landlock = wants_landlock ? enter_landlock(options, snapshot) : BYTES("disabled");
    sandbox->seccomp = wants_seccomp ? enter_seccomp() : BYTES("disabled");
    log_event(LOG_INFO, "hardened", "seccomp=\"%.*s\" landlock=\"%.*s\"", BYTES_FORMAT(sandbox->seccomp), BYTES_FORMAT(sandbox->landlock));
}

// --- later documents ---

static bool names(const struct snapshot *snapshot, struct bytes path) {
    for (const struct named_path *named = snapshot->paths; named != NULL; named = named->next)
        if (bytes_equal(named->path, path))
            return true;
    return bytes_equal(snapshot->proxy.telemetry.access_log.path, path) || bytes_equal(snapshot->proxy.telemetry.audit_log.path, path);
}

static bool is_denied(const char *path, int flags) {
    int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    bool denied = fd < 0 && errno == EACCES;
    if (fd >= 0)
        close(fd);
    return denied;
}

static void refuse(const struct snapshot *fresh, const char *path, struct config_errors *errors) {
    config_errors_add(
        errors, fresh->proxy.place, NULL, "spec.hardening.landlock",
        "%s cannot be opened: a running proxy may use the folders alone that its documents named when it started; an upgrade or a restart takes "
        "new ones (or it lacks permission)",
        path);
}

void sandbox_check(const struct sandbox *sandbox, const struct snapshot *before, const struct snapshot *fresh, struct config_errors *errors) {
    const struct access_log_config *log = &fresh->proxy.telemetry.access_log;
    if (!bytes_equal(sandbox->landlock, BYTES("enforced")) || before == NULL)
        return;
    bool is_log_open = before->has_access_log && bytes_equal(before->proxy.telemetry.access_log.path, log->path);
    if (fresh->has_access_log && !is_log_open && is_denied(log->path.at, O_WRONLY | O_APPEND | O_CREAT))
        refuse(fresh, log->path.at, errors);
    const struct bytes audit = fresh->proxy.telemetry.audit_log.path;
    if (audit.len > 0 && !bytes_equal(audit, before->proxy.telemetry.audit_log.path) && is_denied(audit.at, O_WRONLY | O_APPEND | O_CREAT))
        refuse(fresh, audit.at, errors);
    for (const struct named_path *named = fresh->paths; named != NULL; named = named->next)
        if (!names(before, named->path) && !bytes_equal(named->path, log->path) && !bytes_equal(named->path, audit) &&
            !bytes_equal(named->path, fresh->proxy.upgrade_path) && is_denied(named->path.at, O_RDONLY))
            refuse(fresh, named->path.at, errors);
}
