// The lists: what is allowed, what kills, and the few calls of which only some uses are allowed. See syscalls.h.
#include "app/syscalls.h"

#include "base/sanitized.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <uv.h>

// Names, since not every processor has each; libseccomp knows which.
static const char *const allowed[] = {
    // descriptors and files
    "read",
    "readv",
    "pread64",
    "write",
    "writev",
    "pwrite64",
    "close",
    "fcntl",
    "dup",
    "dup3",
    "lseek",
    "open",
    "openat",
    "fstat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "readlink",
    "readlinkat",
    "getdents64",
    "getcwd",
    "unlink",
    "unlinkat",
    "umask",
    "pipe2",
    "eventfd2",
    "inotify_init1",
    "inotify_add_watch",
    "inotify_rm_watch",
    "fstatfs",
    "statfs",
    // sockets
    "bind",
    "listen",
    "accept",
    "accept4",
    "connect",
    "shutdown",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    // waiting and time
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "epoll_pwait2",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    "timerfd_create",
    "timerfd_settime",
    "restart_syscall",
    // memory and threads
    "brk",
    "mmap",
    "munmap",
    "mremap",
    "mprotect",
    "madvise",
    "futex",
    "set_robust_list",
    "rseq",
    "sched_yield",
    "sched_getaffinity",
    "gettid",
    "membarrier",
    "exit",
    "exit_group",
    "set_tid_address",
    // signals; a process of its own alone, which Landlock holds where it is new enough
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "tgkill",
    // what it is and may
    "getpid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "getrandom",
    "uname",
    "sysinfo",
    "prlimit64",
    "getrlimit",
    "getrusage",
#if UV_VERSION_HEX >= 0x012d00
    "io_uring_setup",
    "io_uring_enter", // libuv from 1.45 on gathers changes of its poll set in one
#endif
#if SANITIZED
    "clone",
    "getdents",
    "ptrace",
    "wait4",
    "waitid",
    "kill",
    "tkill",
    "mincore",
    "personality",
    "process_vm_readv",
    "pipe",
    "sched_getparam",
    "sched_getscheduler",
    "prctl",
    "ioctl",
    "sched_setaffinity",
    "arch_prctl",
    "setrlimit",
    "rt_sigtimedwait",
    "rt_sigpending",
    "msync",
    "mlock",
    "munlock",
    "vfork",
    "fork",
#endif
};

static const char *const deadly[] = {
    "execve",
    "execveat",
    "process_vm_writev",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "bpf",
    "mount",
    "umount2",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "perf_event_open",
    "userfaultfd",
    "add_key",
    "keyctl",
    "request_key",
    "open_by_handle_at",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "iopl",
    "ioperm",
#if !SANITIZED
    "ptrace",
    "process_vm_readv",
    "fork",
    "vfork",
#endif
};

static int add_each(void *filter, uint32_t action, const char *const *names, size_t count) {
    int failed = 0;
    for (size_t i = 0; i < count && failed == 0; i++) {
        int number = seccomp_syscall_resolve_name(names[i]);
        if (number != __NR_SCMP_ERROR && number >= 0)
            failed = seccomp_rule_add(filter, action, number, 0);
    }
    return failed;
}

// One argument must have one of these values.
static int add_values(void *filter, int number, unsigned argument, const uint64_t *values, size_t count) {
    int failed = 0;
    for (size_t i = 0; i < count && failed == 0; i++)
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, number, 1, SCMP_CMP(argument, SCMP_CMP_EQ, values[i]));
    return failed;
}

#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static int add_partly_allowed(void *filter) {
    static const uint64_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK}; // the last for the resolver, which looks which interfaces there are
    int failed = add_values(filter, SCMP_SYS(socket), 0, families, COUNT(families));
    // What clone3 is asked for stands in memory, where a filter cannot look: the C library falls back to clone.
    if (failed == 0)
        failed = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
#if !SANITIZED
    static const uint64_t controls[] = {FIONBIO, FIONREAD, FIOCLEX, TCGETS, SIOCGIFINDEX, SIOCGIFNAME};
    static const uint64_t options[] = {PR_SET_NAME, PR_GET_DUMPABLE, 0x53564d41}; // the last: PR_SET_VMA, by which the C library names its memory
    if (failed == 0)
        failed = add_values(filter, SCMP_SYS(ioctl), 1, controls, COUNT(controls));
    if (failed == 0)
        failed = add_values(filter, SCMP_SYS(prctl), 0, options, COUNT(options));
    if (failed == 0) // threads, no processes
        failed = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1, SCMP_CMP(0, SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
#endif
    return failed;
}

enum error syscalls_restrict(char *reason, size_t reason_size) {
    void *filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (filter != NULL)
        (void)seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1); // an older kernel logs nothing
    int failed = filter == NULL ? -ENOMEM : add_each(filter, SCMP_ACT_ALLOW, allowed, COUNT(allowed));
    if (failed == 0)
        failed = add_each(filter, SCMP_ACT_KILL_PROCESS, deadly, COUNT(deadly));
    if (failed == 0)
        failed = add_partly_allowed(filter);
    if (failed == 0)
        failed = seccomp_load(filter);
    seccomp_release(filter);
    if (failed == 0)
        return OK;
    snprintf(reason, reason_size, "%s", strerror(-failed));
    return ERROR_IO;
}
