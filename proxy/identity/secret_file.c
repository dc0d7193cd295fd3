// See secret_file.h. Reading blocks; the files are small and local, and the main thread carries no traffic.
#include "identity/secret_file.h"

#include "base/check.h"
#include "base/map.h"
#include "base/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

uint64_t secret_file_mark(const char *path) {
    struct stat found;
    if (stat(path, &found) != 0)
        return 0;
    const uint64_t parts[] = {
        (uint64_t)found.st_dev,          (uint64_t)found.st_ino,         (uint64_t)found.st_size,         (uint64_t)found.st_mtim.tv_sec,
        (uint64_t)found.st_mtim.tv_nsec, (uint64_t)found.st_ctim.tv_sec, (uint64_t)found.st_ctim.tv_nsec,
    };
    return hash_bytes(bytes_from((const char *)parts, sizeof(parts))) | 1;
}

static enum error refuse(char *reason, size_t reason_size, const char *path, const char *text) {
    snprintf(reason, reason_size, "%s: %s", path, text);
    return ERROR_IO;
}

static enum error read_all(int descriptor, char *at, size_t size) {
    size_t used = 0;
    while (used < size) {
        ssize_t got = read(descriptor, at + used, size - used);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return ERROR_IO;
        used += (size_t)got;
    }
    return OK;
}

enum error secret_file_read(const char *path, struct bytes *content, char *reason, size_t reason_size) {
    struct stat found;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (descriptor < 0 || fstat(descriptor, &found) != 0) {
        enum error error = refuse(reason, reason_size, path, strerror(errno));
        if (descriptor >= 0)
            close(descriptor);
        return error;
    }
    enum error error = OK;
    char *at = NULL;
    size_t size = (size_t)found.st_size;
    if (!S_ISREG(found.st_mode))
        error = refuse(reason, reason_size, path, "not a regular file");
    else if (found.st_size > SECRET_FILE_BYTES_MAX)
        error = refuse(reason, reason_size, path, "longer than 1 MiB");
    if (error == OK) {
        at = alloc_or_abort(size + 1);
        if (read_all(descriptor, at, size) != OK)
            error = refuse(reason, reason_size, path, "it changed while it was read");
    }
    close(descriptor);
    *content = bytes_from(at, size);
    if (error != OK)
        secret_file_forget(content);
    return error;
}

void secret_file_forget(struct bytes *content) {
    // The text is ours, whatever the type of a slice says.
    char *at = NULL;
    memcpy(&at, &content->at, sizeof(at));
    if (at != NULL)
        explicit_bzero(at, content->len);
    free(at);
    *content = BYTES_NONE;
}
